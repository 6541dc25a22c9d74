"""Examples of what is counted: where a record lies, for those who want to look at it.

Only who asks for OpenMetrics gets them. They name coordinates, never content. Of each
family one is chosen a second at most, since nobody looks more often.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client.core import Exemplar

from worker.metrics import catalogue as names
from worker.metrics.declaring import Metric
from worker.metrics.facts import Batch, Part
from worker.metrics.store import MetricStore

#: Scores that took longer than that, seconds, are worth an example: they miss the
#: objective.
SLOW_SECONDS = 1.0

#: Least time between two examples of a family, seconds.
EVERY_SECONDS = 1.0

#: Labels and values of an exemplar may have so many characters together.
_MAX_LENGTH = 128


class Exemplars:
    """Chooses examples for the families that are worth one, batch by batch."""

    def __init__(self, store: MetricStore, model_version: str):
        self._store = store
        self._model_version = model_version
        self._noted_at: dict[Metric, float] = {}

    def note(self, batch: Batch, slowest_seconds: float, now: float) -> None:
        """Keep an example of each family that the batch has added to, where due.

        Parameters
        ----------
        slowest_seconds
            The longest that a score of the batch took.
        """
        parts = list(batch.parts.values())
        if any(part.rejected for part in parts) and self._is_due(names.DLQ_EVENTS, now):
            self._note_dead_letter(batch, now)
        if any(part.late for part in parts) and self._is_due(names.EVENTS_LATE, now):
            late = next(part for part in parts if part.late).examples().late
            if late is not None:
                self._store.exemplify(names.EVENTS_LATE, _exemplar(late, 1.0, now))
        if slowest_seconds > SLOW_SECONDS and self._is_due(names.EVENT_TO_SCORE, now):
            self._note_slowest(parts, now)
        has_bins = any(part.bins is not None for part in parts)
        if has_bins and self._is_due(names.FEATURE_VALUES, now):
            self._note_absent(parts, now)

    def _is_due(self, metric: Metric, now: float) -> bool:
        """Whether an example may be noted now, which it then should be."""
        if 0 <= now - self._noted_at.get(metric, 0.0) < EVERY_SECONDS:
            return False
        self._noted_at[metric] = now
        return True

    def _note_dead_letter(self, batch: Batch, now: float) -> None:
        of_parts = batch.parts.items()
        place, part = next((p, part) for p, part in of_parts if part.rejected)
        first = part.rejected[0]
        record = place.partition, first.offset
        exemplar = _exemplar(record, 1.0, now, place.topic)
        self._store.exemplify(names.DLQ_EVENTS, exemplar, first.reason)

    def _note_slowest(self, parts: Sequence[Part], now: float) -> None:
        found = [part.examples().oldest for part in parts]
        known = [oldest for oldest in found if oldest is not None]
        if not known:
            return
        payment, at_ms = min(known, key=lambda oldest: oldest[1])
        exemplar = _exemplar(payment, now - at_ms / 1000, now)
        self._store.exemplify(names.EVENT_TO_SCORE, exemplar, self._model_version)

    def _note_absent(self, parts: Sequence[Part], now: float) -> None:
        for part in parts:
            absent = part.examples().absent
            if absent is not None:
                payment, cell = absent
                exemplar = _exemplar(payment, 1.0, now)
                self._store.exemplify_row(names.FEATURE_VALUES, cell, exemplar)
                return


def _exemplar(
    record: tuple[int, int], value: float, now: float, topic: str = ""
) -> Exemplar:
    """Return where a record lies; payments lie in the topic of the transactions."""
    labels = {"partition": str(record[0]), "offset": str(record[1])}
    length = sum(map(len, ("topic", topic, *labels, *labels.values())))
    if topic and length <= _MAX_LENGTH:
        labels = {"topic": topic, **labels}
    return Exemplar(labels, value, now)
