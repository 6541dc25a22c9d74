"""What was polled and is to be answered: at once, or in the order of event time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from worker.loop.alignment import Aligning, Alignment, Surroundings
from worker.loop.backlog import Backlog
from worker.loop.ports import Consumer
from worker.pipeline import PartitionState
from worker.records import NextOffset, RecordBatch, TopicPartition
from worker.recovery import CommitMetadata

Committed = Mapping[TopicPartition, NextOffset | None]


class Inputs(Protocol):
    """A queue between the poll and the pipeline."""

    @property
    def paused(self) -> Collection[TopicPartition]:
        """Partitions that stand still because enough of them waits."""

    def __len__(self) -> int:
        """How many records wait."""

    def begin(self, committed: Committed) -> None:
        """Note partitions that are assigned."""

    def drop(self, places: Collection[TopicPartition]) -> None:
        """Forget partitions that have moved on, and their records."""

    def poll_seconds(self, longest: float) -> float | None:
        """Return how long the next poll may wait for a record; None: do not poll."""

    def add(self, records: RecordBatch) -> None:
        """Put records behind those that wait."""

    def take(self, max_records: int) -> RecordBatch:
        """Return records that are to be answered next."""

    def is_full(self, limit: int) -> bool:
        """Whether reading had better pause while a result is held."""


def inputs_of(
    aligning: Aligning | None,
    consumer: Consumer,
    partitions: Mapping[TopicPartition, PartitionState],
    standing_still: Collection[TopicPartition],
) -> Inputs:
    """Return the queue of a worker with one stage, or with several."""
    if aligning is None:
        return AsPolled()
    around = Surroundings(partitions, consumer.ended, standing_still)
    return Aligned(Alignment(aligning, around), consumer)


class AsPolled(Backlog):
    """Nothing waits, but while a result is held."""

    paused: frozenset[TopicPartition] = frozenset()

    def begin(self, committed: Committed) -> None:
        """Nothing is to be noted."""

    def poll_seconds(self, longest: float) -> float | None:
        """Poll once nothing waits any more."""
        return None if len(self) else longest

    def is_full(self, limit: int) -> bool:
        """Whether more waits than makes a batch."""
        return len(self) > limit


class Aligned:
    """Inputs wait for each other; partitions that run far ahead are paused.

    Attributes
    ----------
    paused
        Those.
    """

    def __init__(self, alignment: Alignment, consumer: Consumer):
        self._alignment = alignment
        self._consumer = consumer
        self._is_idle = True
        self.paused: set[TopicPartition] = set()

    def __len__(self) -> int:
        return len(self._alignment)

    def begin(self, committed: Committed) -> None:
        """Wait for partitions from now on."""
        self._alignment.begin(
            {place: _watermark_ms(place, c) for place, c in committed.items()}
        )

    def drop(self, places: Collection[TopicPartition]) -> None:
        """Forget partitions that have moved on, and their records."""
        self._alignment.drop(places)
        self.paused.difference_update(places)

    def poll_seconds(self, longest: float) -> float | None:
        """Poll always, and wait if nothing could leave last time."""
        return longest if self._is_idle else 0.0

    def add(self, records: RecordBatch) -> None:
        """Put records behind those that wait, and pause what there is enough of."""
        self._alignment.add(records)
        crowded = set(self._alignment.crowded()) - self.paused
        if crowded:
            self._consumer.pause(crowded)
            self.paused |= crowded

    def take(self, max_records: int) -> RecordBatch:
        """Return what may leave, and go on reading what there is little of."""
        records = self._alignment.take(max_records)
        self._is_idle = not len(records)
        if self.paused:
            sparse = self._alignment.sparse(self.paused)
            self._consumer.resume(sparse)
            self.paused.difference_update(sparse)
        return records

    def is_full(self, limit: int) -> bool:  # noqa: ARG002
        """Whether some partition is far ahead of the others."""
        return bool(self.paused)


def _watermark_ms(place: TopicPartition, committed: NextOffset | None) -> int | None:
    if committed is None:
        return None
    metadata = CommitMetadata.decode(committed.metadata, place)
    return None if metadata is None else metadata.watermark_ms
