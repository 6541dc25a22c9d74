"""The columns of a stage, filled in declared order: level by level over a segment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.features.admitted import Admission
from worker.features.columns import derived_column, to_integers
from worker.features.declarations import (
    DerivedFeature,
    MeasurableFeature,
    WindowFeature,
)
from worker.features.event_columns import EventColumns, field_column
from worker.features.keys import hash_texts
from worker.features.measures import fold_labels, fold_measure
from worker.features.plan import MeasurePlan, Plan
from worker.features.spec import Spec
from worker.features.state import FeatureState
from worker.records import MISSING, Column, EventBatch, Field

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class StageColumns:
    """Computes the columns of the features that belong to one stage."""

    def __init__(self, spec: Spec, stage: int, plan: Plan) -> None:
        self._spec = spec
        self._plan = plan
        self._fields = {field.name: field for field in spec.schema.fields}
        own = [
            (i, f) for i, f in enumerate(spec.features) if spec.stages[f.name] == stage
        ]
        self._later = [
            (i, f) for i, f in own if isinstance(f, DerivedFeature | WindowFeature)
        ]
        early = [
            (i, f) for i, f in own if not isinstance(f, DerivedFeature | WindowFeature)
        ]
        self._events = EventColumns(early, spec.schema, spec.time_zone)

    def column(self, events: EventBatch, name: str) -> Column:
        """Return a field of the events, (n,) or a list of n."""
        return field_column(events, self._spec.schema, name)

    def fill_event_features(self, events: EventBatch, rows: Floats) -> None:
        """Features that need neither state nor other features."""
        self._events.fill(events, rows)

    def fill_segment(
        self,
        events: EventBatch,
        rows: Floats,
        state: FeatureState,
        admission: Admission,
        first: int,
        last: int,
    ) -> None:
        """Windows and derived features of rows [first, last), in declared order."""
        folded = set()
        for i, feature in self._later:
            if isinstance(feature, DerivedFeature):
                span = slice(first, last)
                columns = [self._plan.columns[name] for name in feature.inputs]
                inputs = [rows[span, column] for column in columns]
                rows[span, i] = derived_column(inputs, feature)
                continue
            key = (feature.statistic.needs_labels, feature.of, feature.where)
            if key not in folded:
                folded.add(key)
                self._fold(feature, events, rows, state, admission, first, last)

    def _fold(
        self,
        feature: WindowFeature,
        events: EventBatch,
        rows: Floats,
        state: FeatureState,
        admission: Admission,
        first: int,
        last: int,
    ) -> None:
        """Fold the measure of a window, for all the windows over it."""
        times = events.event_time_ms
        if feature.statistic.needs_labels:
            frauds = self._plan.frauds[feature.where]
            holds = self._where(frauds.where, rows, len(events), first, last)
            fold_labels(frauds, holds, times, state, admission, first, last, rows)
        else:
            measure = self._plan.measures[feature.of, feature.where]
            values = self._measured(events, rows, measure, first, last)
            fold_measure(measure, values, times, state, admission, first, last, rows)

    def _measured(
        self,
        events: EventBatch,
        rows: Floats,
        measure: MeasurePlan,
        first: int,
        last: int,
    ) -> Ints:
        """Values of a measure as integers; only rows [first, last) are filled."""
        values = self._where(measure.where, rows, len(events), first, last)
        if measure.of is not None:
            span = slice(first, last)
            missing = values[span] == MISSING
            values[span] = self._integers(events, rows, measure.of, span)
            values[span][missing] = MISSING
        return values

    def _where(
        self, where: str | None, rows: Floats, count: int, first: int, last: int
    ) -> Ints:
        """Return (n,) 1, or MISSING where a condition does not hold.

        Only rows [first, last) are filled.
        """
        values = np.empty(count, np.int64)
        span = slice(first, last)
        values[span] = 1
        if where is not None:
            holds = rows[span, self._plan.columns[where]] == 1.0
            values[span][~holds] = MISSING
        return values

    def _integers(
        self, events: EventBatch, rows: Floats, name: str, span: slice
    ) -> Ints:
        field: Field | None = self._fields.get(name)
        if field is None:
            feature = self._spec.features[self._plan.columns[name]]
            assert isinstance(feature, MeasurableFeature)
            column = rows[span, self._plan.columns[name]]
            return to_integers(column, feature.decimals or 0)
        column_values = self.column(events, name)
        if isinstance(column_values, np.ndarray):
            return column_values[span]
        return hash_texts(column_values[span], MISSING)
