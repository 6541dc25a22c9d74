"""The columns of a stage, filled in declared order: level by level over a segment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.features.admitted import Admission
from worker.features.columns import derived_column, to_integers
from worker.features.declarations import (
    DerivedFeature,
    Feature,
    MeasurableFeature,
    WindowFeature,
)
from worker.features.event_columns import EventColumns, field_column
from worker.features.keys import hash_texts
from worker.features.measures import fold_labels, fold_measure
from worker.features.plan import FraudPlan, MeasurePlan, Plan
from worker.features.spec import Spec
from worker.features.state import FeatureState
from worker.records import MISSING, Column, EventBatch, EventSchema

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class FieldIntegers:
    """Fields of n events as integers, each converted once a batch."""

    def __init__(self, events: EventBatch, schema: EventSchema) -> None:
        self.events = events
        self._schema = schema
        self._known: dict[str | None, Ints] = {}

    def of(self, name: str | None) -> Ints:
        """Return (n,) int64, `MISSING` where there is no value; None: 1 for each."""
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._converted(name)
        return known

    def _converted(self, name: str | None) -> Ints:
        if name is None:
            return np.ones(len(self.events), np.int64)
        column = field_column(self.events, self._schema, name)
        return column if isinstance(column, np.ndarray) else hash_texts(column, MISSING)


class _Derivation(NamedTuple):
    """A derived feature, its place in a row, and those of its inputs."""

    feature: DerivedFeature
    place: int
    inputs: list[int]


class StageColumns:
    """Computes the columns of the features that belong to one stage."""

    def __init__(self, spec: Spec, stage: int, plan: Plan) -> None:
        self._spec = spec
        self._plan = plan
        self._field_names = {field.name for field in spec.schema.fields}
        own = [
            (i, f) for i, f in enumerate(spec.features) if spec.stages[f.name] == stage
        ]
        self._steps = list(self._in_order(own))
        early = [
            (i, f) for i, f in own if not isinstance(f, DerivedFeature | WindowFeature)
        ]
        self._events = EventColumns(early, spec.schema, spec.time_zone)

    def column(self, events: EventBatch, name: str) -> Column:
        """Return a field of the events, (n,) or a list of n."""
        return field_column(events, self._spec.schema, name)

    def fields(self, events: EventBatch) -> FieldIntegers:
        """Return what the measures of a batch read of its events."""
        return FieldIntegers(events, self._spec.schema)

    def fill_event_features(self, events: EventBatch, rows: Floats) -> None:
        """Features that need neither state nor other features."""
        self._events.fill(events, rows)

    def fill_segment(
        self,
        fields: FieldIntegers,
        rows: Floats,
        state: FeatureState,
        admission: Admission,
        first: int,
        last: int,
    ) -> None:
        """Windows and derived features of rows [first, last), in declared order."""
        span, times = slice(first, last), fields.events.event_time_ms
        segment = (times, state, admission, first, last, rows)
        for step in self._steps:
            if isinstance(step, _Derivation):
                inputs = [rows[span, column] for column in step.inputs]
                rows[span, step.place] = derived_column(inputs, step.feature)
            elif isinstance(step, FraudPlan):
                fold_labels(step, self._where(step.where, rows, span), *segment)
            else:
                fold_measure(step, self._measured(step, fields, rows, span), *segment)

    def _in_order(
        self, own: Sequence[tuple[int, Feature]]
    ) -> Iterator[_Derivation | MeasurePlan | FraudPlan]:
        """Yield what is done in a segment: each measure once, for all its windows."""
        plan, folded = self._plan, set()
        for i, feature in own:
            if isinstance(feature, DerivedFeature):
                columns = [plan.columns[name] for name in feature.inputs]
                yield _Derivation(feature, i, columns)
            elif isinstance(feature, WindowFeature):
                key = (feature.statistic.needs_labels, feature.of, feature.where)
                if key in folded:
                    continue
                folded.add(key)
                if feature.statistic.needs_labels:
                    yield plan.frauds[feature.where]
                else:
                    yield plan.measures[feature.of, feature.where]

    def _measured(
        self, measure: MeasurePlan, fields: FieldIntegers, rows: Floats, span: slice
    ) -> Ints:
        """Values of a measure as integers, (n,); only those of the span count."""
        name, where = measure.of, measure.where
        if name is None or name in self._field_names:
            values = fields.of(name)
            if where is None:
                return values
            own = values[span]
        else:
            feature = self._spec.features[self._plan.columns[name]]
            assert isinstance(feature, MeasurableFeature)
            column = rows[span, self._plan.columns[name]]
            own = to_integers(column, feature.decimals or 0)
        values = self._where(where, rows, span)
        np.copyto(values[span], own, where=values[span] != MISSING)
        return values

    def _where(self, where: str | None, rows: Floats, span: slice) -> Ints:
        """Return 1, or MISSING where a condition does not hold: (n,), in the span."""
        values = np.empty(len(rows), np.int64)
        values[span] = 1
        if where is not None:
            holds = rows[span, self._plan.columns[where]] == 1.0
            values[span][~holds] = MISSING
        return values
