"""What was polled and is to be answered: at once, or in the order of event time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Protocol

from worker.loop.aligning import Aligning
from worker.loop.alignment import Alignment, Surroundings
from worker.loop.assignment import Assignment
from worker.loop.backlog import Backlog
from worker.loop.ports import Consumer
from worker.loop.standing_still import StandingStill
from worker.records import MISSING, NextOffset, RecordBatch, TopicPartition
from worker.recovery import ENDED, CommitMetadata

Committed = Mapping[TopicPartition, NextOffset | None]


#: Time between two looks at where the others are, while waiting for them, seconds.
LOOK_SECONDS = 0.02

#: What a stage has handed on comes back so soon after its commit, seconds: the broker
#: still has to mark it. Whoever polls earlier leaves it for the next round.
GATHER_SECONDS = 0.002

#: How often the others are told of inputs that have come to an end, seconds.
END_SECONDS = 1.0


class Inputs(Protocol):
    """A queue between the poll and the pipeline."""

    @property
    def paused(self) -> Collection[TopicPartition]:
        """Partitions that stand still because enough of them waits."""

    @property
    def gather_seconds(self) -> float:
        """How long the next poll had better wait at least."""

    @property
    def waiting(self) -> Mapping[TopicPartition, int]:
        """How many records wait of each partition."""

    def __len__(self) -> int:
        """How many records wait."""

    def begin(self, committed: Committed) -> None:
        """Note partitions that are assigned."""

    def drop(self, places: Collection[TopicPartition]) -> None:
        """Forget partitions that have moved on, and their records."""

    def to_be_told(self) -> Collection[TopicPartition]:
        """Return the partitions of which that had better be told now."""

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
    assignment: Assignment,
    standing_still: StandingStill,
) -> Inputs:
    """Return the queue of a worker with one stage, or with several."""
    if aligning is None:
        return AsPolled()
    around = Surroundings(
        assignment.partitions,
        consumer.ended,
        consumer,
        standing_still.places,
        assignment.clock,
    )
    inputs = Aligned(aligning, Alignment(aligning, around), consumer, assignment.clock)
    assignment.head_of = inputs.head_of
    return inputs


class AsPolled(Backlog):
    """Nothing waits, but while a result is held."""

    paused: frozenset[TopicPartition] = frozenset()
    waiting: Mapping[TopicPartition, int] = MappingProxyType({})
    gather_seconds = 0.0

    def begin(self, committed: Committed) -> None:
        """Nothing is to be noted."""

    def to_be_told(self) -> Collection[TopicPartition]:
        """Nothing."""
        return ()

    def poll_seconds(self, longest: float) -> float | None:
        """Poll once nothing waits any more."""
        return None if len(self) else longest

    def is_full(self, limit: int) -> bool:
        """Whether more waits than makes a batch."""
        return len(self) > limit


class Aligned:
    """Inputs wait for each other, those of other workers included.

    What other workers still have to answer stands in the commits of the group. It is
    looked at only when something here would otherwise leave too early.

    Attributes
    ----------
    paused
        Partitions of which enough waits.
    """

    def __init__(
        self,
        aligning: Aligning,
        alignment: Alignment,
        consumer: Consumer,
        clock: Callable[[], float],
    ):
        self._aligning = aligning
        self._alignment = alignment
        self._consumer = consumer
        self._clock = clock
        self._is_idle = True
        self._told: dict[TopicPartition, int | None] = {}
        self._looked_at = self._ends_told_at = clock()
        self.paused: set[TopicPartition] = set()

    @property
    def gather_seconds(self) -> float:
        """Wait for what has just been handed on."""
        return GATHER_SECONDS if self._alignment.has_handed_on else 0.0

    @property
    def waiting(self) -> Mapping[TopicPartition, int]:
        """How many records wait of each partition."""
        return self._alignment.waiting

    def __len__(self) -> int:
        return len(self._alignment)

    def begin(self, committed: Committed) -> None:
        """Wait for partitions from now on."""
        self._alignment.begin(
            {place: _watermark_ms(place, c) for place, c in committed.items()}
        )
        self._alignment.until_ms = MISSING

    def drop(self, places: Collection[TopicPartition]) -> None:
        """Forget partitions that have moved on, and their records."""
        self._alignment.drop(places)
        self._alignment.until_ms = MISSING
        self.paused.difference_update(places)
        for place in places:
            self._told.pop(place, None)

    def head_of(self, place: TopicPartition) -> int | None:
        """Return a partition's head, which will be told with a commit."""
        head_ms = self._told[place] = self._alignment.head_ms(place)
        return head_ms

    def to_be_told(self) -> list[TopicPartition]:
        """Return partitions whose heads others may wait for.

        All while this worker waits for others; else those that have come to an end.
        """
        now, told = self._clock(), self._told
        heads = ((p, self._alignment.head_ms(p)) for p in self._alignment.places)
        if self._alignment.is_held_back and now - self._looked_at >= LOOK_SECONDS:
            self._look()
            return [p for p, head in heads if head not in {None, told.get(p)}]
        if now - self._ends_told_at < END_SECONDS:
            return []
        self._ends_told_at = now
        return [p for p, head in heads if head == ENDED != told.get(p)]

    def poll_seconds(self, longest: float) -> float | None:
        """Poll always, and wait if nothing could leave last time."""
        if self._alignment.is_held_back:
            return min(longest, LOOK_SECONDS)
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

    def _look(self) -> None:
        """Ask where the other workers are."""
        self._looked_at = self._clock()
        others = sorted(self._aligning.places.difference(self._alignment.places))
        committed = self._aligning.last_committed(others) if others else {}
        heads = [_head_ms(place, c) for place, c in committed.items()]
        first_ms = min(heads, default=ENDED)
        self._alignment.until_ms = min(ENDED, first_ms + self._aligning.slack_ms)


def _head_ms(place: TopicPartition, committed: NextOffset | None) -> int:
    """Return how old a record may still come of a partition."""
    if committed is None:
        return MISSING
    metadata = CommitMetadata.decode(committed.metadata, place)
    if metadata is None:
        return MISSING
    known = (metadata.head_ms, metadata.watermark_ms)
    return next((ms for ms in known if ms is not None), MISSING)


def _watermark_ms(place: TopicPartition, committed: NextOffset | None) -> int | None:
    if committed is None:
        return None
    metadata = CommitMetadata.decode(committed.metadata, place)
    return None if metadata is None else metadata.watermark_ms
