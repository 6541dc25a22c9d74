"""What the loop tells about itself, batch by batch and once a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping

from worker.loop.assignment import Assignment
from worker.loop.lag import LagClock
from worker.loop.ports import Consumer
from worker.loop.snapshots import Snapshots
from worker.metrics import AbortReason, Rebalance, WorkerMetrics
from worker.pipeline import BatchResult, PartitionResult, PartitionState, Rejected
from worker.records import Reason, TopicPartition

_LOG = logging.getLogger(__name__)


class Report:
    """Feeds the metrics: what is told may depend on the wall clock, nothing else does.

    Parameters
    ----------
    now
        Seconds since 1970.
    """

    def __init__(self, metrics: WorkerMetrics, now: Callable[[], float] = time.time):
        self._metrics = metrics
        self._now = now
        self._polled_at = now()
        self._snapshots_failed = 0
        self._lag = LagClock()

    def polling(self) -> None:
        """Note that a poll begins: since the last one the loop was busy."""
        self._metrics.was_busy(max(0.0, self._now() - self._polled_at))

    def polled(self) -> None:
        """Note that a poll has returned."""
        self._polled_at = self._now()
        self._metrics.polled(self._polled_at)

    def committed(self, result: BatchResult, commit_seconds: float) -> None:
        """Count a result that was committed, or that had nothing to be committed."""
        if not result.consumed and not result.replayed:
            return
        self._metrics.committed(
            result,
            polled_at=self._polled_at,
            committed_at=self._now(),
            commit_seconds=commit_seconds,
        )
        for place, part in result.parts.items():
            if part.consumed:
                self._lag.answered(place, int(part.timestamps_ms[-1]), self._polled_at)
            _warn_of_dead_letters(place, part)

    def aborted(self, reason: AbortReason) -> None:
        """Count a commit that has to be sent again."""
        self._metrics.aborted(reason)

    def moved(self, event: Rebalance, places: Collection[TopicPartition]) -> None:
        """Count partitions that came or went."""
        self._lag.begin(places, self._now())
        self._metrics.rebalanced(event, places)

    def restored(self, seconds: Iterable[float]) -> None:
        """Note how long partitions took from their assignment until they were live."""
        for took in seconds:
            self._metrics.restored(took)

    def measure_snapshots(
        self, snapshots: Snapshots, folded: Mapping[TopicPartition, PartitionState]
    ) -> None:
        """Set what a crash would replay of each partition, and count failures."""
        for place, partition in folded.items():
            exposed = snapshots.replayed_by_a_crash(partition)
            self._metrics.set_replay_exposure(place, exposed)
            age_seconds = snapshots.age_seconds(place)
            if age_seconds is not None:
                self._metrics.set_snapshot_age(place, age_seconds)
        self._metrics.snapshots_failed(snapshots.failures - self._snapshots_failed)
        self._snapshots_failed = snapshots.failures

    def measure(
        self,
        consumer: Consumer,
        assignment: Assignment,
        waiting: Mapping[TopicPartition, int],
    ) -> None:
        """Set what is true now: how far behind, how much to restore, how much held.

        Parameters
        ----------
        waiting
            How many records of a partition have been polled and wait for others.
        """
        for place, unread in consumer.lags().items():
            messages = unread + waiting.get(place, 0)
            told_at = consumer.told_at().get(place)
            since, as_of = self._lag.measured(place, messages, told_at)
            self._metrics.set_lag(place, messages, since=since, told_at=as_of)
        for place, messages in consumer.headrooms().items():
            self._metrics.set_headroom(place, messages)
        positions = consumer.positions()
        for place in (*assignment.partitions, *assignment.loading):
            progress = assignment.progress(place, positions)
            self._metrics.set_progress(place, progress.loaded_ratio)
            self._metrics.set_restore(place, progress.offsets_left)
        for place, partition in assignment.folded.items():
            state = partition.state
            self._metrics.set_state(
                place, state.key_count, state.event_count, state.unknown_label_count
            )


def _warn_of_dead_letters(place: TopicPartition, part: PartitionResult) -> None:
    """Say once for each reason where its first record lies, and nothing of it.

    Of many such warnings with one reason the log writes one now and then.
    """
    firsts: dict[Reason, Rejected] = {}
    for rejected in part.rejected:
        firsts.setdefault(rejected.reason, rejected)
    for reason, first in firsts.items():
        facts = {"reason": reason.value, "field": first.field, "offset": first.offset}
        _LOG.warning(
            "dead_letter",
            extra={**facts, "topic": place.topic, "partition": place.partition},
        )
