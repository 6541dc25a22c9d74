"""The partitions in this worker's care: taken up, restored, given back.

    taken up --(snapshots are there)--> loading --+--> replaying --> live
        +-----------------------------------------+

Owns the epochs. Knows nothing of commits; recovery decides where a fold starts, this
asks the broker what recovery has to know.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence

from worker.features import FeatureState
from worker.loop.loading import Asked, Loading, Progress, Restore, name_of
from worker.loop.ports import Consumer
from worker.loop.restoring import Restoring
from worker.loop.snapshots import Wanted
from worker.pipeline import BatchResult, PartitionState
from worker.records import NextOffset, TopicPartition
from worker.recovery import (
    CommitMetadata,
    StartPlan,
    needed_since_ms,
    plan_start,
)
from worker.snapshots import SoundSnapshot

_LOG = logging.getLogger(__name__)


class Assignment:
    """Partitions by place, each under the epoch of its assignment.

    Parameters
    ----------
    clock
        Monotonic seconds.

    Attributes
    ----------
    partitions
        Those that are read now, with their state.
    loading
        Those that are filled from a snapshot before they are read.
    restoring
        Those of both that have not yet reached their first offset to be answered.
    head_of
        Tells the head of a partition, for its commits; None where nobody asks for it.
    """

    def __init__(
        self, consumer: Consumer, restoring: Restoring, clock: Callable[[], float]
    ):
        self._consumer = consumer
        self._how = restoring
        self.clock = clock
        self._epoch = 0
        self.partitions: dict[TopicPartition, PartitionState] = {}
        self.loading: dict[TopicPartition, Loading] = {}
        self.restoring: dict[TopicPartition, Restore] = {}
        self.head_of: Callable[[TopicPartition], int | None] = lambda _: None

    @property
    def folded(self) -> Mapping[TopicPartition, PartitionState]:
        """Those of `partitions` that have a state."""
        stateless = self._how.stateless
        if not stateless:
            return self.partitions
        return {p: s for p, s in self.partitions.items() if p.topic not in stateless}

    @property
    def is_begun(self) -> bool:
        """Whether anything is in our care."""
        return bool(self.partitions or self.loading)

    def take_up(
        self, committed: Mapping[TopicPartition, NextOffset | None]
    ) -> dict[TopicPartition, int]:
        """Begin a new epoch for each partition; return where to start reading.

        Those that may have a snapshot are not among them: `load` returns them later.

        Raises
        ------
        StateUnusable
            The log does not allow the right state to be built.
        """
        self._epoch += 1
        asked = self._ask(committed)
        now = self.clock()
        self.restoring.update({place: Restore(now, now) for place in asked})
        self._begin_loading(asked)
        return {
            place: self._begin(of_place, None, self._how.new_state(place))
            for place, of_place in asked.items()
            if place not in self.loading
        }

    def load(self, seconds: float) -> dict[TopicPartition, int]:
        """Fill states for that long; return where to start reading those now filled.

        Raises
        ------
        StateUnusable
            No snapshot was usable, and the log does not allow the right state either.
        """
        until = self.clock() + seconds
        starts = {}
        for place, loading in list(self.loading.items()):
            if loading.go_on(until):
                del self.loading[place]
                starts[place] = self._begin(
                    loading.asked, loading.snapshot, loading.state
                )
            if self.clock() >= until:
                break
        return starts

    def let_go(self, places: Sequence[TopicPartition]) -> None:
        """Forget partitions, and their state with them."""
        for place in places:
            self.partitions.pop(place, None)
            self.restoring.pop(place, None)
            loading = self.loading.pop(place, None)
            if loading is not None:
                loading.abandon()

    def is_current(self, place: TopicPartition, epoch: int) -> bool:
        """Whether the partition is still held under that assignment."""
        partition = self.partitions.get(place)
        return partition is not None and partition.epoch == epoch

    def live_among(self, places: Collection[TopicPartition]) -> list[PartitionState]:
        """Return those of the partitions whose records are answered by now."""
        read = [p for p in places if p in self.partitions and p not in self.restoring]
        return [self.partitions[place] for place in read]

    def note_folded(self, result: BatchResult) -> None:
        """Count what was folded in silence."""
        for place, restore in self.restoring.items():
            part = result.parts.get(place)
            restore.replayed += 0 if part is None else part.replayed

    def note_live(self) -> list[float]:
        """Note which partitions have been restored; return how long each took.

        The record before the first to be answered may never come, because markers
        take offsets too; the position passes them at the end of the log.
        """
        positions = self._consumer.positions()
        took = []
        for place in list(self.restoring):
            partition = self.partitions.get(place)
            if partition and positions.get(place, 0) >= partition.live_from:
                restore = self.restoring.pop(place)
                took.append(self.clock() - restore.since)
                _LOG.info("partition_live", extra=restore.facts(partition, took[-1]))
        return took

    def progress(
        self, place: TopicPartition, positions: Mapping[TopicPartition, int]
    ) -> Progress:
        """Return how far a partition of ours is."""
        loading = self.loading.get(place)
        if loading is not None:
            return loading.progress
        partition = self.partitions[place]
        read = positions.get(place, partition.next_offset)
        return Progress(1.0, max(0, partition.live_from - read))

    def tell_progress(self) -> None:
        """Log now and then how far the partitions are that are not yet live."""
        now, positions = self.clock(), self._consumer.positions()
        for place, restore in self.restoring.items():
            if restore.is_to_be_told(now):
                facts = self.progress(place, positions)._asdict()
                _LOG.info("restore_progress", extra={**name_of(place), **facts})

    def _ask(
        self, committed: Mapping[TopicPartition, NextOffset | None]
    ) -> dict[TopicPartition, Asked]:
        places, reach = list(committed), self._how.reach
        bounds = self._consumer.log_bounds(places)
        needed = self._consumer.offsets_at(
            {
                place: needed_since_ms(offset, place, reach)
                for place, offset in committed.items()
                if offset is not None and place.topic not in self._how.stateless
            }
        )
        return {
            place: Asked(place, self._epoch, offset, bounds[place], needed.get(place))
            for place, offset in committed.items()
        }

    def _begin_loading(self, asked: Mapping[TopicPartition, Asked]) -> None:
        """Let the snapshots be read of each partition that has any."""
        snapshots = self._how.snapshots
        if snapshots is None:
            return
        wanted = {
            place: found
            for place, of_place in asked.items()
            if place.topic not in self._how.stateless
            and snapshots.has_any(place)
            and (found := _wanted(of_place))
        }
        for place, read in zip(wanted, snapshots.read(wanted), strict=True):
            self.loading[place] = Loading(
                asked[place], read, new_state=self._how.new_state, clock=self.clock
            )
            _LOG.info("restore_started", extra=name_of(place))

    def _begin(
        self, asked: Asked, snapshot: SoundSnapshot | None, state: FeatureState
    ) -> int:
        """Own a partition from now on; return where to start reading it."""
        place = asked.place
        at = None if snapshot is None else snapshot.header.next_offset
        if place.topic in self._how.stateless and asked.committed is not None:
            at = asked.committed.offset
        plan = plan_start(
            place,
            asked.committed,
            asked.bounds,
            first_needed=asked.first_needed,
            reach=self._how.reach,
            cold_start=self._how.cold_start,
            snapshot_offset=at,
        )
        is_whole = snapshot is None or plan.replay_from == at
        assert is_whole, "a state of another offset"

        def remember(watermark_ms: int | None) -> str:
            return CommitMetadata(
                watermark_ms,
                plan.fold_start,
                plan.answered_from,
                plan.incomplete_until_ms,
                self.head_of(place),
            ).encode()

        self.partitions[place] = PartitionState(
            place=place,
            epoch=asked.epoch,
            state=state,
            fold_start=plan.fold_start,
            folded_until=0 if snapshot is None else snapshot.complete_at,
            live_from=plan.live_from,
            next_offset=plan.replay_from,
            incomplete_until_ms=plan.incomplete_until_ms,
            remember=remember,
        )
        _LOG.info("partition_assigned", extra=_facts(place, plan))
        return plan.replay_from


def _wanted(asked: Asked) -> Wanted | None:
    """Return which snapshots a partition may start from; None if from none."""
    committed = asked.committed
    if committed is None:
        return None
    metadata = CommitMetadata.decode(committed.metadata, asked.place)
    if metadata is None:
        return None
    return Wanted(metadata.fold_start, range(asked.bounds.start, committed.offset + 1))


def _facts(place: TopicPartition, plan: StartPlan) -> dict[str, object]:
    return {
        **name_of(place),
        "offset": plan.live_from,
        "replay_from": plan.replay_from,
        "incomplete_until_ms": plan.incomplete_until_ms,
    }
