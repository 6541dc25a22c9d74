"""The partitions in this worker's care: taken up, restored, given back.

Owns the epochs. Knows nothing of commits; recovery decides where a fold starts, this
asks the broker what recovery has to know.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from worker.features import FeatureState
from worker.loop.ports import Consumer
from worker.loop.snapshots import Snapshots, restore
from worker.pipeline import PartitionResult, PartitionState
from worker.records import NextOffset, TopicPartition
from worker.recovery import (
    CommitMetadata,
    Reach,
    StartPlan,
    needed_since_ms,
    plan_start,
)
from worker.snapshots import Snapshot

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Restoring:
    """What taking up a partition needs besides the broker.

    Attributes
    ----------
    new_state
        Makes an empty state for a partition.
    reach
        How far back the transform looks.
    cold_start
        Go on where records that the state needs are gone.
    snapshots
        Shorten the replay; None takes and uses none.
    """

    new_state: Callable[[TopicPartition], FeatureState]
    reach: Reach
    cold_start: bool = False
    snapshots: Snapshots | None = None


class Assignment:
    """Partitions by place, each under the epoch of its assignment.

    Attributes
    ----------
    partitions
        Those that are assigned now, with their state.
    restoring
        Those of them that have not yet reached their first offset to be answered.
    """

    def __init__(self, consumer: Consumer, restoring: Restoring):
        self._consumer = consumer
        self._how = restoring
        self._epoch = 0
        self.partitions: dict[TopicPartition, PartitionState] = {}
        self.restoring: set[TopicPartition] = set()

    def take_up(
        self, committed: Mapping[TopicPartition, NextOffset | None]
    ) -> dict[TopicPartition, int]:
        """Begin a new epoch for each partition; return where to start reading.

        Raises
        ------
        StateUnusable
            The log does not allow the right state to be built.
        """
        found = self._snapshots(committed)
        plans = self._plans(committed, found)
        self._epoch += 1
        for place, plan in plans.items():
            self.partitions[place] = self._begin(place, plan, found.get(place))
            self.restoring.add(place)
            _LOG.info("partition_assigned", extra=_facts(place, plan))
        return {place: plan.replay_from for place, plan in plans.items()}

    def let_go(self, places: Sequence[TopicPartition]) -> None:
        """Forget partitions, and their state with them."""
        for place in places:
            self.partitions.pop(place, None)
        self.restoring.difference_update(places)

    def is_current(self, place: TopicPartition, epoch: int) -> bool:
        """Whether the partition is still held under that assignment."""
        partition = self.partitions.get(place)
        return partition is not None and partition.epoch == epoch

    def note_live(self) -> None:
        """Note which partitions have been restored.

        The record before the first to be answered may never come, because markers
        take offsets too; the position passes them at the end of the log.
        """
        positions = self._consumer.positions()
        for place in list(self.restoring):
            live_from = self.partitions[place].live_from
            if positions.get(place, 0) >= live_from:
                self.restoring.discard(place)
                _LOG.info("partition_live", extra={**_name(place), "offset": live_from})

    def _snapshots(
        self, committed: Mapping[TopicPartition, NextOffset | None]
    ) -> dict[TopicPartition, Snapshot]:
        """Load a snapshot for each partition that has a usable one."""
        found: dict[TopicPartition, Snapshot] = {}
        if self._how.snapshots is None:
            return found
        for place, offset in committed.items():
            metadata = CommitMetadata.decode(offset.metadata, place) if offset else None
            if offset is None or metadata is None:
                continue
            snapshot = self._how.snapshots.find(
                place, metadata.fold_start, offset.offset
            )
            if snapshot is not None:
                found[place] = snapshot
        return found

    def _plans(
        self,
        committed: Mapping[TopicPartition, NextOffset | None],
        found: Mapping[TopicPartition, Snapshot],
    ) -> dict[TopicPartition, StartPlan]:
        places, reach = list(committed), self._how.reach
        bounds = self._consumer.log_bounds(places)
        needed = self._consumer.offsets_at(
            {
                place: needed_since_ms(offset, place, reach)
                for place, offset in committed.items()
                if offset is not None
            }
        )
        return {
            place: plan_start(
                place,
                offset,
                bounds[place],
                first_needed=needed.get(place),
                reach=reach,
                cold_start=self._how.cold_start,
                snapshot_offset=_offset_of(found.get(place)),
            )
            for place, offset in committed.items()
        }

    def _begin(
        self, place: TopicPartition, plan: StartPlan, snapshot: Snapshot | None
    ) -> PartitionState:
        def remember(watermark_ms: int | None) -> str:
            return CommitMetadata(
                watermark_ms,
                plan.fold_start,
                plan.answered_from,
                plan.incomplete_until_ms,
            ).encode()

        state, folded_until = self._how.new_state(place), 0
        if snapshot is not None and plan.replay_from == _offset_of(snapshot):
            restore(state, snapshot)
            folded_until = snapshot.complete_at
        return PartitionState(
            place=place,
            epoch=self._epoch,
            state=state,
            fold_start=plan.fold_start,
            folded_until=folded_until,
            live_from=plan.live_from,
            next_offset=plan.replay_from,
            incomplete_until_ms=plan.incomplete_until_ms,
            remember=remember,
        )


def _offset_of(snapshot: Snapshot | None) -> int | None:
    return None if snapshot is None else snapshot.header.next_offset


def offset_alone(partition: PartitionState) -> PartitionResult:
    """Return what commits a live partition again where it stands."""
    offset = max(partition.next_offset, partition.live_from)
    nothing = np.empty(0, np.int64)
    return PartitionResult(
        epoch=partition.epoch,
        next_offset=NextOffset(offset, partition.remember(partition.watermark_ms)),
        outputs=[],
        replayed=0,
        rejected=[],
        flagged=0,
        late=0,
        duplicate=0,
        incomplete=0,
        timestamps_ms=nothing,
        scored_timestamps_ms=nothing,
    )


def _name(place: TopicPartition) -> dict[str, object]:
    return {"topic": place.topic, "partition": place.partition}


def _facts(place: TopicPartition, plan: StartPlan) -> dict[str, object]:
    return {
        **_name(place),
        "offset": plan.live_from,
        "replay_from": plan.replay_from,
        "incomplete_until_ms": plan.incomplete_until_ms,
    }
