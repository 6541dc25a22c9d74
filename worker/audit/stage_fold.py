"""The offline path of one stage among several: its log folded from the start.

Shares the transform and the codec with the worker and nothing else. Pure; the records
come from the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.audit.fold import FoldedRecords, FoldStart, is_before
from worker.codec import Decoder
from worker.codec.forwarding import (
    ForwardingCodec,
    Origins,
    record_keys,
)
from worker.codec.stage_flags import pack_flags, unpack_flags
from worker.features import FeatureRows, FeatureTransform, row_digests
from worker.records import Decoded, EventBatch, RecordBatch, Rejection, TopicPartition

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class FoldedEvents:
    """m events of one partition's log, in log order, and what follows from them.

    `rows` (m,) are their rows among the records that were given. `X` (m, k) and the
    flags are those of this stage and of all before.
    """

    rows: NDArray[np.intp]
    origins: Origins
    batch: EventBatch
    X: NDArray[np.float64]
    late: Bools
    duplicate: Bools
    incomplete: Bools
    comparable: Bools

    def take(self, rows: NDArray[np.intp]) -> FoldedEvents:
        """Return those events, in that order."""
        return FoldedEvents(
            self.rows[rows],
            self.origins.take(rows),
            self.batch.take(rows),
            self.X[rows],
            self.late[rows],
            self.duplicate[rows],
            self.incomplete[rows],
            self.comparable[rows],
        )

    @property
    def flags(self) -> NDArray[np.uint8]:
        """(m,) the flags as the next stage reads them."""
        return pack_flags(self.late, self.duplicate, self.incomplete)

    def to_be_scored(self, topic: str, rows: NDArray[np.intp]) -> FoldedRecords:
        """Return events of one partition of the transactions as records of theirs."""
        origins, count = self.origins.take(rows), len(rows)
        partition = int(origins.partitions[0])
        return FoldedRecords(
            TopicPartition(topic, partition),
            origins.offsets,
            [-1] * count,
            list(origins.keys),
            [None] * count,
            [None] * count,
            np.arange(count),
            self.batch.take(rows),
            self.X[rows],
            row_digests(self.X[rows]),
            self.late[rows],
            self.duplicate[rows],
            self.incomplete[rows],
            self.comparable[rows],
        )


class OutsideFold:
    """Folds JSON: transactions, or labels, which leave nothing behind.

    Parameters
    ----------
    transform
        None where nothing is computed.
    rekey
        The field that is the key of the answers, where the records' own is not.
    """

    def __init__(
        self,
        decoder: Decoder,
        transform: FeatureTransform | None,
        place: TopicPartition,
        *,
        start: FoldStart,
        max_keys: int,
        max_events: int,
        rekey: str | None = None,
    ):
        self._decoder = decoder
        self._rekey = rekey
        self._transform = transform
        self._place = place
        self._start = start
        self._state = None
        if transform is not None:
            self._state = transform.new_state(max_keys=max_keys, max_events=max_events)

    def fold(self, records: RecordBatch) -> tuple[FoldedEvents, FoldedRecords]:
        """Take the next records; return the events, and the rejected records."""
        decoded = self._decoder.decode(
            records.keys, records.values, records.timestamps_ms
        )
        index = decoded.rows.tolist()
        origins = Origins(
            np.full(len(index), self._place.partition, np.int64),
            np.array([records.offsets[row] for row in index], np.int64),
            self._keys(records, decoded),
        )
        if self._transform is None:
            nothing = np.zeros(len(index), np.bool_)
            X = np.empty((len(index), 0))
            rows = FeatureRows(X, nothing, nothing, np.zeros(len(index), np.int64))
        else:
            rows = self._transform.transform(decoded.events, self._state)
        events = _events(decoded.rows, origins, decoded.events, rows, self._start)
        return events, _rejected(self._place, records, decoded.rejections)

    def _keys(self, records: RecordBatch, decoded: Decoded) -> list[bytes]:
        """Return the keys that answers to the events have."""
        if self._rekey is not None:
            return record_keys(decoded.events.columns[self._rekey])
        return [records.keys[row] or b"" for row in decoded.rows.tolist()]


class InsideFold:
    """Folds what the stage before has handed on."""

    def __init__(
        self,
        codec: ForwardingCodec,
        transform: FeatureTransform,
        *,
        start: FoldStart,
        max_keys: int,
        max_events: int,
    ):
        self._codec = codec
        self._transform = transform
        self._start = start
        self._state = transform.new_state(max_keys=max_keys, max_events=max_events)

    def fold(self, records: RecordBatch) -> FoldedEvents:
        """Take the next records; return the events.

        Raises
        ------
        NotForwarded
            One of them was not written by a stage.
        """
        found = self._codec.decode(records)
        rows = self._transform.transform(
            found.events,
            self._state,
            labels=found.labels if len(found.labels) else None,
            given=found.given,
        )
        late, duplicate, incomplete = unpack_flags(found.flags)
        own = _events(found.rows, found.origins, found.events, rows, self._start)
        return FoldedEvents(
            own.rows,
            own.origins,
            own.batch,
            own.X,
            own.late | late,
            own.duplicate | duplicate,
            own.incomplete | incomplete,
            own.comparable,
        )


def _events(
    rows: NDArray[np.intp],
    origins: Origins,
    batch: EventBatch,
    features: FeatureRows,
    start: FoldStart,
) -> FoldedEvents:
    return FoldedEvents(
        rows,
        origins,
        batch,
        features.X,
        features.late,
        features.duplicate,
        is_before(batch.event_time_ms, start.incomplete_until_ms),
        ~is_before(batch.event_time_ms, start.comparable_from_ms),
    )


def _rejected(
    place: TopicPartition, records: RecordBatch, rejections: Sequence[Rejection]
) -> FoldedRecords:
    """Return the records that are no event; of events there are none."""
    index = [rejection.row for rejection in rejections]
    nothing = np.zeros(0, np.bool_)
    return FoldedRecords(
        place,
        np.array([records.offsets[row] for row in index], np.int64),
        [records.timestamps_ms[row] for row in index],
        [records.keys[row] for row in index],
        [records.values[row] for row in index],
        list(rejections),
        np.full(len(index), -1, np.intp),
        EventBatch([], np.zeros(0, np.int64), {}),
        np.empty((0, 0)),
        np.zeros(0, np.uint64),
        nothing,
        nothing,
        nothing,
        nothing,
    )
