"""What `fraud-worker truth` tells about scores, labels and itself, as metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic

from worker.codec.score_reader import SCORE_UNITS
from worker.metrics import TRUTH_CATALOGUE, Exposition, MetricStore, exposition_of
from worker.metrics import truth_catalogue as names
from worker.truth.join import Join
from worker.truth.tally import (
    BIN_COUNT,
    DECISIONS,
    LABELS,
    SCORE_OUTCOMES,
    UNMATCHED,
    ModelTally,
    Tally,
)

#: Labels of the bins.
BINS = tuple(f"{number:02}" for number in range(BIN_COUNT))

#: Figures of a model's evaluation that are told, and their names in its manifest.
FIGURES = {
    "precision": "alert_precision",
    "recall": "alert_recall",
    "roc_auc": "roc_auc",
    "average_precision": "average_precision",
}

#: By version, the figures that its manifest holds; none where it is not known.
Forecasts = Callable[[str], Mapping[str, float]]


class TruthMetrics:
    """The series of the process; counters go on from what was committed.

    Parameters
    ----------
    version
        Of the model in use, which has series from the start.

    Attributes
    ----------
    is_in_batch
        Whether what the last poll brought is still being counted.
    """

    def __init__(self, version: str, forecasts: Forecasts):
        self.store = MetricStore(TRUTH_CATALOGUE)
        self._version = version
        self._forecasts = forecasts
        self._shown: set[str] = set()
        self._polled_at: float | None = None
        self.is_in_batch = False

    @property
    def seconds_since_poll(self) -> float | None:
        """How long ago a poll last returned, by a clock that nobody sets; or None."""
        return None if self._polled_at is None else monotonic() - self._polled_at

    def polled(self, at: float) -> None:
        """Note that a poll returned, at a time in seconds since 1970."""
        self.store.set(names.TRUTH_LAST_POLL, at)
        self._polled_at = monotonic()
        self.is_in_batch = True

    def measured(self, join: Join, unread: int) -> None:
        """Note how much waits, and how many partitions still have unread records."""
        self.store.set(names.TRUTH_WAITING, join.waiting_payments, "score")
        self.store.set(names.TRUTH_WAITING, join.waiting_labels, "label")
        self.store.set(names.TRUTH_BEHIND, unread)
        self.is_in_batch = False

    def show(self, tally: Tally) -> None:
        """Show what was counted, once it is committed."""
        set_ = self.store.set
        models = {self._version: ModelTally(), **tally.models}
        for version in models.keys() - self._shown:
            self._forecast(version)
        with self.store.lock:
            for version in self._shown - models.keys():
                self._forget(version)
            for version, model in models.items():
                self._show_model(version, model)
            for outcome in SCORE_OUTCOMES:
                set_(names.TRUTH_SCORES, tally.scores[outcome], outcome)
            for reason in UNMATCHED:
                set_(names.LABELS_UNMATCHED, tally.unmatched[reason], reason)
            for label, count in zip(LABELS, tally.matched.tolist(), strict=True):
                set_(names.LABELS_MATCHED, count, label)
            set_(names.LABELS_LATE, tally.late_labels)
            self.store.set_distribution(
                names.LABEL_DELAY, tally.delays, tally.delay_ms / 1000
            )
            set_(names.TRUTH_JUDGED_UNTIL, (tally.judged_until_ms or 0) / 1000)
        self._shown = set(models)

    def _show_model(self, version: str, model: ModelTally) -> None:
        set_ = self.store.set
        above = model.frauds_above.tolist()
        for slot, counts, frauds in zip(BINS, model.bins.tolist(), above, strict=True):
            set_(names.TRUTH_FRAUDS_ABOVE, frauds, version, slot)
            for label, count in zip(LABELS, counts, strict=True):
                set_(names.TRUTH_PAYMENTS, count, version, slot, label)
        for row, decision in enumerate(DECISIONS):
            probability = int(model.score_units[row]) / SCORE_UNITS
            set_(names.TRUTH_PROBABILITY, probability, version, decision)
            for column, label in enumerate(LABELS):
                count = int(model.decisions[row, column])
                set_(names.TRUTH_DECISIONS, count, version, decision, label)

    def _forecast(self, version: str) -> None:
        known = self._forecasts(version)
        for figure, name in FIGURES.items():
            if name in known:
                self.store.set(names.FORECAST, known[name], version, figure)

    def _forget(self, version: str) -> None:
        """End the series of a model that is no longer counted."""
        remove = self.store.remove
        for slot in BINS:
            remove(names.TRUTH_FRAUDS_ABOVE, version, slot)
            for label in LABELS:
                remove(names.TRUTH_PAYMENTS, version, slot, label)
        for decision in DECISIONS:
            remove(names.TRUTH_PROBABILITY, version, decision)
            for label in LABELS:
                remove(names.TRUTH_DECISIONS, version, decision, label)
        for figure in FIGURES:
            remove(names.FORECAST, version, figure)


def truth_exposition(metrics: TruthMetrics) -> Exposition:
    """Return what makes the text of all metrics, those of the process included."""
    return exposition_of(metrics.store)
