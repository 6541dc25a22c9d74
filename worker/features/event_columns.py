"""The columns of features that need nothing but the event."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worker.errors import InvalidConfig
from worker.features.calendar import CalendarColumns, LocalClock, completed_years
from worker.features.categories import CategoryCodes
from worker.features.columns import event_column, to_floats
from worker.features.declarations import (
    AgeFeature,
    CalendarFeature,
    CategoryFeature,
    DistanceFeature,
    EventFeature,
    EventLevelFeature,
)
from worker.features.distances import distance_column
from worker.records import Column, EventBatch, EventSchema

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


_Other = EventFeature | CategoryFeature | DistanceFeature | AgeFeature


class EventColumns:
    """Computes some of a spec's features, each with its place in a row.

    Raises
    ------
    InvalidConfig
        Where a category has no vocabulary yet.
    """

    def __init__(
        self,
        features: Sequence[tuple[int, EventLevelFeature]],
        schema: EventSchema,
        time_zone: str,
    ) -> None:
        self._calendar = CalendarColumns(
            (i, f.part) for i, f in features if isinstance(f, CalendarFeature)
        )
        self._others = [
            (i, f) for i, f in features if not isinstance(f, CalendarFeature)
        ]
        self._schema = schema
        self._fields = {field.name: field for field in schema.fields}
        self._clock = LocalClock(time_zone)
        self._needs_clock = any(
            isinstance(f, CalendarFeature | AgeFeature) for _, f in features
        )
        self._codes = {
            f.name: CategoryCodes(_learnt(f))
            for _, f in features
            if isinstance(f, CategoryFeature)
        }

    def fill(self, events: EventBatch, rows: Floats) -> None:
        """Write the columns into rows, (n, n_declared) float64."""
        times = events.event_time_ms
        local_ms = self._clock.local_ms(times) if self._needs_clock else times
        self._calendar.fill(local_ms, rows)
        for place, feature in self._others:
            rows[:, place] = self._column(events, local_ms, feature)

    def _column(self, events: EventBatch, local_ms: Ints, feature: _Other) -> Floats:
        if isinstance(feature, CategoryFeature):
            values = field_column(events, self._schema, feature.field)
            return self._codes[feature.name].column(values)
        if isinstance(feature, AgeFeature):
            return completed_years(self._integers(events, feature.field), local_ms)
        if isinstance(feature, EventFeature):
            field = self._fields[feature.field]
            return event_column(self._integers(events, feature.field), field, feature)
        return distance_column(self._places(events, feature), feature.decimals)

    def _places(self, events: EventBatch, feature: DistanceFeature) -> list[Floats]:
        return [
            to_floats(self._integers(events, name), self._fields[name])
            for name in feature.places
        ]

    def _integers(self, events: EventBatch, name: str) -> Ints:
        values = field_column(events, self._schema, name)
        assert isinstance(values, np.ndarray)
        return values


def field_column(events: EventBatch, schema: EventSchema, name: str) -> Column:
    """Return a field of the events, (n,) or a list of n."""
    if name == schema.event_time:
        return events.event_time_ms
    if name == schema.transaction_id:
        return list(events.transaction_ids)
    return events.columns[name]


def _learnt(feature: CategoryFeature) -> tuple[str, ...]:
    if feature.vocabulary is None:
        problem = (
            f"{feature.name!r} has no vocabulary yet: training learns it, and writes "
            "it into the spec of the bundle"
        )
        raise InvalidConfig([problem], subject="spec")
    return feature.vocabulary
