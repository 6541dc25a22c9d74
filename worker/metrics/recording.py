"""Turns what happens in the worker into metrics: per batch, never per event."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from importlib.metadata import version
from platform import python_version
from time import monotonic, time

from worker.drift import BinCounter
from worker.metrics import catalogue as names
from worker.metrics.batches import DECISIONS, BatchCounts, Committed
from worker.metrics.declaring import Metric
from worker.metrics.facts import AbortReason, Batch, ModelFacts, Rebalance
from worker.metrics.reference import describe_reference
from worker.metrics.store import MetricStore
from worker.records import Reason, TopicPartition

#: The stages of a batch whose time is measured.
STAGES = ("decode", "transform", "score", "encode", "commit")

#: Gauges that exist for each partition in this worker's care.
PARTITION_GAUGES = (
    names.KAFKA_CONSUMER_LAG,
    names.KAFKA_LAG,
    names.KAFKA_MEASURED,
    names.KAFKA_HEADROOM,
    names.RESTORE_REMAINING,
    names.RESTORE_PROGRESS,
    names.STATE_KEYS,
    names.STATE_EVENTS,
    names.STATE_UNKNOWN_LABELS,
    names.SNAPSHOT_AGE,
    names.REPLAY_EXPOSURE,
)

#: For so long it is believed that nothing waits, seconds. The broker is asked every
#: five seconds; a single answer may be lost.
TRUST_SECONDS = 15.0


class WorkerMetrics:
    """What the worker tells about itself; every closed series exists from the start.

    Parameters
    ----------
    app_version
        Of this package.
    topics
        The topics that are consumed.
    now
        Seconds since 1970.

    Attributes
    ----------
    is_in_batch
        Whether what the last poll brought is still being answered.
    """

    def __init__(
        self,
        model: ModelFacts,
        *,
        app_version: str,
        topics: Iterable[str],
        now: Callable[[], float] = time,
    ):
        self.store = MetricStore(names.CATALOGUE, now)
        self._model_version = model.version
        self._batches = BatchCounts(self.store, model.version)
        self._partitions: set[TopicPartition] = set()
        self._polled_at: float | None = None
        self.is_in_batch = False
        self.reference = MetricStore(names.REFERENCE_CATALOGUE)
        self._create(topics)
        self._describe(model, app_version)

    @property
    def seconds_since_poll(self) -> float | None:
        """How long ago a poll last returned, by a clock that nobody sets; or None."""
        return None if self._polled_at is None else monotonic() - self._polled_at

    def polled(self, at: float) -> None:
        """Note that a poll returned, at a time in seconds since 1970."""
        self.store.set(names.WORKER_LAST_POLL, at)
        self._polled_at = monotonic()
        self.is_in_batch = True

    def was_busy(self, seconds: float) -> None:
        """Add time spent outside of the poll; the next poll begins now."""
        self.store.add(names.WORKER_BUSY, seconds)
        self.is_in_batch = False

    def committed(
        self,
        batch: Batch,
        *,
        polled_at: float,
        committed_at: float,
        commit_seconds: float,
    ) -> None:
        """Count a batch whose commit returned, or that only replayed.

        Parameters
        ----------
        polled_at, committed_at
            When its poll and its commit returned, seconds since 1970.
        """
        self._batches.add(Committed(batch, polled_at, committed_at, commit_seconds))

    def aborted(self, reason: AbortReason) -> None:
        """Count a commit that has to be sent again."""
        self.store.add(names.COMMIT_ABORTS, 1, reason)

    def rebalanced(self, event: Rebalance, places: Collection[TopicPartition]) -> None:
        """Note partitions that came, or end the series of those that went."""
        self.store.add(names.KAFKA_REBALANCES, 1, event)
        if event is Rebalance.ASSIGNED:
            self._partitions.update(places)
        else:
            self._partitions.difference_update(places)
            for place in places:
                for gauge in PARTITION_GAUGES:
                    self.store.remove(gauge, *_labels(place))
        self.store.set(names.KAFKA_ASSIGNED_PARTITIONS, len(self._partitions))

    def set_lag(
        self, place: TopicPartition, messages: int, *, since: float, told_at: float
    ) -> None:
        """Set how far a partition is behind its end.

        Parameters
        ----------
        since
            Before that moment nothing waits: the lag in seconds grows from there, by
            the clock of this machine, until it is set anew.
        told_at
            When the broker was last asked for the end. Where nothing waits, that is
            believed for a while.
        """
        self._set(names.KAFKA_CONSUMER_LAG, place, messages)
        self._set(names.KAFKA_MEASURED, place, told_at)
        if place in self._partitions:
            hidden_until = 0.0 if messages else told_at + TRUST_SECONDS
            labels = _labels(place)
            self.store.set_age(
                names.KAFKA_LAG, since, *labels, hidden_until=hidden_until
            )

    def set_headroom(self, place: TopicPartition, messages: int) -> None:
        """Set how much retention has left behind what was read."""
        self._set(names.KAFKA_HEADROOM, place, messages)

    def set_restore(self, place: TopicPartition, remaining: int) -> None:
        """Set how many offsets are still to be folded in silence."""
        self._set(names.RESTORE_REMAINING, place, remaining)

    def set_progress(self, place: TopicPartition, ratio: float) -> None:
        """Set how much of a partition's snapshot is in memory."""
        self._set(names.RESTORE_PROGRESS, place, ratio)

    def restored(self, seconds: float) -> None:
        """Note that a partition is live, so long after its assignment."""
        self.store.observe(names.RESTORE_SECONDS, seconds)

    def set_state(
        self, place: TopicPartition, keys: int, events: int, unknown_labels: int
    ) -> None:
        """Set what the state of a partition holds, and how many labels it could not."""
        self._set(names.STATE_KEYS, place, keys)
        self._set(names.STATE_EVENTS, place, events)
        self._set(names.STATE_UNKNOWN_LABELS, place, unknown_labels)

    def set_replay_exposure(self, place: TopicPartition, messages: int) -> None:
        """Set how many offsets a crash would replay."""
        self._set(names.REPLAY_EXPOSURE, place, messages)

    def set_snapshot_age(self, place: TopicPartition, seconds: float) -> None:
        """Set how much a crash would replay at least."""
        self._set(names.SNAPSHOT_AGE, place, seconds)

    def snapshots_failed(self, count: int) -> None:
        """Count snapshots that could not be written."""
        self.store.add(names.SNAPSHOT_FAILURES, count)

    def _set(self, gauge: Metric, place: TopicPartition, value: float) -> None:
        # What is no longer ours must not come back after its series has ended.
        if place in self._partitions:
            self.store.set(gauge, value, *_labels(place))

    def _create(self, topics: Iterable[str]) -> None:
        closed: dict[Metric, Iterable[tuple[str, ...]]] = {
            names.EVENTS_CONSUMED: [(topic,) for topic in topics],
            names.EVENTS_SCORED: [(self._model_version, d) for d in DECISIONS],
            names.EVENTS_CONTROL_GROUP: [(self._model_version,)],
            names.DLQ_EVENTS: [(reason,) for reason in Reason],
            names.EVENT_TO_SCORE: [(self._model_version,)],
            names.BATCH_STAGE_DURATION: [(stage,) for stage in STAGES],
            names.COMMIT_ABORTS: [(reason,) for reason in AbortReason],
            names.KAFKA_REBALANCES: [(event,) for event in Rebalance],
        }
        for metric in names.CATALOGUE:
            for labels in closed.get(metric, () if metric.labels else [()]):
                self.store.create(metric, *labels)

    def _describe(self, model: ModelFacts, app_version: str) -> None:
        self.store.set(
            names.BUILD_INFO, 1, app_version, python_version(), version("scikit-learn")
        )
        self.store.set(
            names.MODEL_INFO,
            1,
            *(model.version, model.model_sha256, model.transform_sha256),
            model.reference_sha256,
        )
        self.store.set(names.MODEL_TRAINED, model.trained_until, model.version)
        self.store.set(names.MODEL_SELFTEST, model.selftest_error, model.version)
        if model.reference is not None:
            describe_reference(
                self.reference, model.reference, model.version, model.kinds
            )
            cells = BinCounter(model.reference).labels
            self.store.create_row(
                names.FEATURE_VALUES, [(model.version, *cell) for cell in cells]
            )
            for decision in DECISIONS:
                self.store.create(names.SCORE_PROBABILITY, model.version, decision)


def _labels(place: TopicPartition) -> tuple[str, str]:
    return place.topic, str(place.partition)
