"""When snapshots are taken, and which one a partition starts from.

Between two iterations one slice is copied; everything else happens in the writer's
thread. A snapshot only shortens a replay: without one, or with all of them damaged,
the state is folded from the log.
"""

from __future__ import annotations

import math
import time
from collections.abc import (
    Callable,
    Collection,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from worker.pipeline import PartitionState
from worker.records import TopicPartition
from worker.snapshots import (
    SLICE_EVENTS,
    Read,
    ReadItem,
    SnapshotIdentity,
    SnapshotStore,
    SnapshotWriter,
    read_in_thread,
    read_items,
)

#: How often it is asked which partition is due, seconds: not between all iterations.
LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class SnapshotPolicy:
    """Where snapshots are kept and how often they are taken.

    Attributes
    ----------
    topic_ids
        The broker's id of each topic: a topic that was made anew has another.
    interval_seconds
        A partition's snapshot is not older than this, if the disk keeps up.
    stop_seconds
        How long the last snapshots may take when the worker stops.
    slice_events
        How many events are taken in at once when one is read.
    """

    store: SnapshotStore
    topic_ids: Mapping[str, str]
    state_fingerprint: str
    interval_seconds: float
    stop_seconds: float = 3.0
    slice_events: int = SLICE_EVENTS

    def identity(self, place: TopicPartition, fold_start: int) -> SnapshotIdentity:
        """Return what a snapshot of that partition must say of itself."""
        return SnapshotIdentity(
            topic=place.topic,
            topic_id=self.topic_ids.get(place.topic, ""),
            partition=place.partition,
            state_fingerprint=self.state_fingerprint,
            fold_start=fold_start,
        )


class Wanted(NamedTuple):
    """Which snapshot of a partition may be used: its fold, and next offsets of it."""

    fold_start: int
    offsets: range


#: Reads sources one after the other, beside the loop.
Reading: TypeAlias = Callable[[Iterable[Generator[ReadItem]]], Sequence[Read]]


class Snapshots:
    """The snapshots of the partitions that are assigned."""

    def __init__(
        self,
        policy: SnapshotPolicy,
        clock: Callable[[], float] = time.monotonic,
        read: Reading = read_in_thread,
    ):
        self._policy = policy
        self._read = read
        self._clock = clock
        self._writer = SnapshotWriter(policy.store)
        self._looked_at = -math.inf
        self._begun_at: dict[TopicPartition, float] = {}
        self._begun_offset: dict[TopicPartition, int] = {}

    @property
    def failures(self) -> int:
        """How many snapshots could not be written."""
        return self._writer.failures

    def age_seconds(self, place: TopicPartition) -> float | None:
        """Return how long ago the newest one was complete; None if none was here."""
        finished = self._writer.finished.get(place)
        return None if finished is None else time.monotonic() - finished

    def replayed_by_a_crash(self, partition: PartitionState) -> int:
        """Return how many offsets were folded since the newest one, read or written."""
        written = self._writer.next_offsets.get(partition.place, 0)
        held = max(written, partition.fold_start, partition.folded_until)
        return max(0, partition.next_offset - held)

    def has_any(self, place: TopicPartition) -> bool:
        """Whether there may be one from which the partition can start."""
        return self._policy.store.has_any(place)

    def read(self, wanted: Mapping[TopicPartition, Wanted]) -> Sequence[Read]:
        """Begin to read the snapshots that partitions may start from, in this order."""
        policy = self._policy
        return self._read(
            read_items(
                policy.store,
                place,
                policy.identity(place, of_place.fold_start),
                of_place.offsets,
                slice_events=policy.slice_events,
            )
            for place, of_place in wanted.items()
        )

    def step(
        self,
        partitions: Mapping[TopicPartition, PartitionState],
        restoring: Collection[TopicPartition],
    ) -> None:
        """Copy the next slice, or begin the snapshot that is due most."""
        place = self._writer.place
        if place is not None:
            self._writer.step(partitions[place].next_offset)
            return
        now = self._clock()
        pause = min(LOOK_SECONDS, self._policy.interval_seconds / 10)
        if now - self._looked_at < pause or self._writer.is_busy:
            return
        self._looked_at = now
        due = self._most_due(partitions, restoring)
        if due is not None:
            self._begin(partitions[due])

    def forget(self, places: Collection[TopicPartition]) -> None:
        """Give up what is being taken of partitions that move on."""
        for place in places:
            self._writer.abandon(place)
            self._begun_at.pop(place, None)
            self._begun_offset.pop(place, None)

    def take_all(
        self,
        partitions: Mapping[TopicPartition, PartitionState],
        restoring: Collection[TopicPartition],
    ) -> None:
        """Take the last ones, so that a successor starts where this worker stopped."""
        deadline = self._clock() + self._policy.stop_seconds
        for place, partition in partitions.items():
            self._writer.abandon(place)
            left = deadline - self._clock()
            if place in restoring or not self._is_new(partition) or left <= 0:
                continue
            self._writer.take_now(
                place,
                partition.state,
                self._policy.identity(place, partition.fold_start),
                partition.next_offset,
                timeout_seconds=left,
            )

    def _most_due(
        self,
        partitions: Mapping[TopicPartition, PartitionState],
        restoring: Collection[TopicPartition],
    ) -> TopicPartition | None:
        latest = self._clock() - self._policy.interval_seconds
        due = [
            (self._begun_at.setdefault(place, self._clock()), place)
            for place, partition in partitions.items()
            if place not in restoring and self._is_new(partition)
        ]
        begun_at, place = min(due, default=(latest, None))
        return place if begun_at < latest else None

    def _is_new(self, partition: PartitionState) -> bool:
        """Whether anything was folded since the last snapshot."""
        begun = self._begun_offset.get(partition.place)
        return partition.next_offset != begun and partition.next_offset > 0

    def _begin(self, partition: PartitionState) -> None:
        self._begun_at[partition.place] = self._clock()
        self._begun_offset[partition.place] = partition.next_offset
        self._writer.begin(
            partition.place,
            partition.state,
            self._policy.identity(partition.place, partition.fold_start),
            partition.next_offset,
        )
