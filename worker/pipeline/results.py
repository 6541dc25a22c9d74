"""What a batch came to: facts for the loop to send, count and measure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.drift import BinCounts
from worker.pipeline.examples import Examples
from worker.records import NextOffset, Output, Reason, TopicPartition


class Rejected(NamedTuple):
    """A record that became a dead letter; nothing of what it said.

    `position` counts the records of its partition that this batch answers, from 0.
    """

    position: int
    offset: int
    reason: Reason
    field: str | None


class PartitionResult(NamedTuple):
    """The part of a batch that came from one partition.

    Attributes
    ----------
    epoch
        The assignment under which the records were polled.
    next_offset
        Where the partition goes on; None while only replaying.
    outputs
        Scores and dead letters, in log order.
    replayed
        How many records were folded in silence.
    rejected
        In log order.
    flagged, late, duplicate, incomplete
        How many of the scores are so.
    timestamps_ms, scored_timestamps_ms
        (n,) int64: those of the records that are answered, and of those among them
        that are scored; -1 where a record has none.
    bins
        How the features and scores lie; None where the bundle has no reference.
    ranks
        Of the outputs: those of a lesser rank are produced first, also those of other
        partitions. None where it is all the same.
    control_group
        How many of the scores are not flagged only because of it.
    examples
        Looks for payments that stand for others of their kind.
    """

    epoch: int
    next_offset: NextOffset | None
    outputs: list[Output]
    replayed: int
    rejected: list[Rejected]
    flagged: int
    late: int
    duplicate: int
    incomplete: int
    timestamps_ms: NDArray[np.int64]
    scored_timestamps_ms: NDArray[np.int64]
    bins: BinCounts | None = None
    ranks: NDArray[np.int64] | None = None
    control_group: int = 0
    examples: Callable[[], Examples] = Examples

    @property
    def consumed(self) -> int:
        """How many records are answered: each by one output."""
        return len(self.timestamps_ms)

    @property
    def scored(self) -> int:
        """How many of them by a score."""
        return len(self.scored_timestamps_ms)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """All that follows from a batch of records, by partition.

    Attributes
    ----------
    parts
        One for each partition that had records in the batch.
    stage_seconds
        Wall time of the steps decode, transform, score and encode.
    """

    parts: Mapping[TopicPartition, PartitionResult]
    stage_seconds: Mapping[str, float]

    @property
    def outputs(self) -> list[Output]:
        """All that is to be produced, in log order within each partition."""
        if len(self.parts) == 1:
            return next(iter(self.parts.values())).outputs
        outputs = list(chain.from_iterable(p.outputs for p in self.parts.values()))
        if all(part.ranks is None for part in self.parts.values()):
            return outputs
        ranks = np.concatenate([_ranks_of(part) for part in self.parts.values()])
        return [outputs[i] for i in np.argsort(ranks, kind="stable").tolist()]

    @property
    def next_offsets(self) -> dict[TopicPartition, NextOffset]:
        """What is to be committed together with the outputs."""
        return {
            place: part.next_offset
            for place, part in self.parts.items()
            if part.next_offset is not None
        }

    @property
    def epochs(self) -> dict[TopicPartition, int]:
        """The assignments under which the records were polled."""
        return {place: part.epoch for place, part in self.parts.items()}

    @property
    def consumed(self) -> int:
        """How many records are answered: each by one output."""
        return sum(part.consumed for part in self.parts.values())

    @property
    def scored(self) -> int:
        """How many of them by a score."""
        return sum(part.scored for part in self.parts.values())

    @property
    def replayed(self) -> int:
        """How many records were folded in silence."""
        return sum(part.replayed for part in self.parts.values())

    @property
    def rejected(self) -> Counter[Reason]:
        """How many records became dead letters, by reason."""
        return Counter(
            rejected.reason
            for part in self.parts.values()
            for rejected in part.rejected
        )

    def only(self, places: Collection[TopicPartition]) -> BatchResult:
        """Return what remains of the result when other partitions are lost."""
        kept = {place: part for place, part in self.parts.items() if place in places}
        return BatchResult(kept, self.stage_seconds)


def _ranks_of(part: PartitionResult) -> NDArray[np.int64]:
    if part.ranks is None:
        return np.full(len(part.outputs), np.iinfo(np.int64).min)
    return part.ranks
