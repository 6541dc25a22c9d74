"""A pipeline that only counts: its answers show every record's place in the fold.

The answer to the third record of a partition is `value#3`; after a replay that missed
one, or a fold that saw one twice, the number is another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from worker.features import FeatureState
from worker.pipeline import (
    BatchResult,
    PartitionResult,
    PartitionState,
    Pipeline,
    Rejected,
)
from worker.records import (
    MISSING,
    NextOffset,
    Output,
    Reason,
    RecordBatch,
    TopicPartition,
)

#: Records with this value become dead letters.
BROKEN = b"broken"


@dataclass
class CountingState:
    """How many records were folded, and the youngest timestamp among them."""

    event_count: int = 0
    key_count: int = 0
    unknown_label_count: int = 0
    watermark_ms: int = MISSING


def counting_state(_: TopicPartition) -> FeatureState:
    """Make an empty state."""
    return cast("FeatureState", CountingState())


class CountingPipeline(Pipeline):
    """Answers each record with its number in the fold of its partition."""

    def __init__(self) -> None:
        super().__init__({})
        self.batches: list[RecordBatch] = []

    def run(
        self,
        records: RecordBatch,
        partitions: Mapping[TopicPartition, PartitionState],
    ) -> BatchResult:
        self.batches.append(records)
        places = map(TopicPartition, records.topics, records.partitions)
        rows: dict[TopicPartition, list[int]] = {}
        for row, place in enumerate(places):
            rows.setdefault(place, []).append(row)
        parts = {
            place: _fold(records, of_place, partitions[place])
            for place, of_place in rows.items()
        }
        return BatchResult(parts, {})


def _fold(
    records: RecordBatch, rows: list[int], partition: PartitionState
) -> PartitionResult:
    state = cast("CountingState", partition.state)
    outputs: list[Output] = []
    rejected: list[Rejected] = []
    answered: list[int] = []
    for row in rows:
        offset, value = records.offsets[row], records.values[row]
        assert offset >= partition.next_offset, "folded twice"
        assert value is not None
        state.event_count += 1
        state.watermark_ms = max(state.watermark_ms, records.timestamps_ms[row])
        partition.next_offset = offset + 1
        if offset < partition.live_from:
            continue
        if value == BROKEN:
            position = len(answered)
            rejected.append(Rejected(position, offset, Reason.NOT_JSON, None))
        answered.append(records.timestamps_ms[row])
        answer = b"%s#%d" % (value, state.event_count)
        outputs.append(_output(partition.place, answer, is_broken=value == BROKEN))
    stamps = np.array(answered, np.int64)
    following = None
    if answered:
        remembered = partition.remember(partition.watermark_ms)
        following = NextOffset(partition.next_offset, remembered)
    return PartitionResult(
        epoch=partition.epoch,
        next_offset=following,
        outputs=outputs,
        replayed=len(rows) - len(answered),
        rejected=rejected,
        flagged=0,
        late=0,
        duplicate=0,
        incomplete=0,
        timestamps_ms=stamps,
        scored_timestamps_ms=stamps[: len(stamps) - len(rejected)],
    )


def _output(place: TopicPartition, answer: bytes, *, is_broken: bool) -> Output:
    topic = "dead-letters" if is_broken else "scores"
    return Output(topic, answer, b"k", place.partition, [])
