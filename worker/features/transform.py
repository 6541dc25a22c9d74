"""The transform: events in, feature rows out; the one implementation of both halves.

Training calls it on history, the worker on batches. How the log is cut into batches
never changes a row: whether an event is late, a repeat or expired is decided once,
in log order, before the first feature is computed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.features.calendar import LocalClock, calendar_part
from worker.features.columns import derived_column, event_column, to_integers
from worker.features.declarations import (
    CalendarFeature,
    DerivedFeature,
    EventFeature,
    WindowFeature,
)
from worker.features.keys import hash_texts, pack_keys
from worker.features.layout import FIRST_EDGE
from worker.features.measures import fold_measure
from worker.features.plan import MeasurePlan, compile_plan
from worker.features.spec import Spec
from worker.features.state import (
    DEFAULT_MAX_EVENTS,
    DEFAULT_MAX_KEYS,
    Admission,
    FeatureState,
)
from worker.records import MISSING, Column, EventBatch, Field

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Rows computed at once: bounds the memory that a long history takes.
CHUNK_ROWS = 65_536

#: Stands for an offset that no snapshot can hold.
_NEW = int(np.iinfo(np.int64).max)


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """The features of n events, in log order.

    Attributes
    ----------
    X
        (n, n_features) float64, C order, columns as `Spec.feature_names`; NaN stands
        for missing.
    late, duplicate
        (n,) bool. A late event sees what is still there and is not remembered; a
        repeat sees the windows at its event time, and is counted once.
    watermarks_ms
        (n,) int64: largest event time up to and with each event.
    """

    X: Floats
    late: NDArray[np.bool_]
    duplicate: NDArray[np.bool_]
    watermarks_ms: Ints


class FeatureTransform:
    """Computes the features of a spec.

    Parameters
    ----------
    spec
        With one entity: its events are the state.
    """

    #: The entity whose stage this is: the spec's first.
    entity_index = 0

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._plan = compile_plan(spec)
        self._clock = LocalClock(spec.time_zone)
        self._key = spec.entities[self.entity_index].key
        self._fields = {field.name: field for field in spec.schema.fields}
        outputs = [i for i, feature in enumerate(spec.features) if feature.output]
        self._outputs = None if len(outputs) == len(spec.features) else outputs

    def new_state(
        self,
        *,
        max_keys: int = DEFAULT_MAX_KEYS,
        max_events: int = DEFAULT_MAX_EVENTS,
    ) -> FeatureState:
        """Return the state before the first event."""
        return FeatureState(self._plan.layout, max_keys=max_keys, max_events=max_events)

    def transform(
        self,
        events: EventBatch,
        state: FeatureState | None = None,
        *,
        offsets: Ints | None = None,
    ) -> FeatureRows:
        """Compute the rows of events that follow those already in the state.

        Parameters
        ----------
        events
            In log order. All belong to the partition whose state is given.
        state
            Advanced by the call. None: the events are the whole log.
        offsets
            (n,) int64, of the records in the log; needed only after `take_in`: events
            that a key's part of a snapshot holds already are passed over, and their
            rows mean nothing.

        Raises
        ------
        StateUnusable
            When a limit on live keys or events is reached.
        """
        state = state or self.new_state()
        if offsets is None:
            offsets = np.full(len(events), _NEW, np.int64)
        chunks = [
            self._transform_chunk(
                _slice(events, at), offsets[at : at + CHUNK_ROWS], state
            )
            for at in range(0, max(len(events), 1), CHUNK_ROWS)
        ]
        if len(chunks) == 1:
            return chunks[0]
        return FeatureRows(
            np.concatenate([chunk.X for chunk in chunks]),
            np.concatenate([chunk.late for chunk in chunks]),
            np.concatenate([chunk.duplicate for chunk in chunks]),
            np.concatenate([chunk.watermarks_ms for chunk in chunks]),
        )

    def warm_up(self) -> None:
        """Compile the kernels, or load them, before the first event arrives.

        Those of snapshots too: the first one must not stop the loop for seconds.
        """
        text: list[str | None] = ["0", "1", "0"]
        times = np.array([86_400_000, 86_400_000, 3_600_000], np.int64)
        columns: dict[str, Column] = {
            name: text if field.type == "text" else times
            for name, field in self._fields.items()
        }
        state = self.new_state()
        self.transform(EventBatch(["0", "1", "2"], times, columns), state)
        self.new_state().take_in(state.copy_out(0, state.slot_count, 0))

    def _transform_chunk(
        self, events: EventBatch, offsets: Ints, state: FeatureState
    ) -> FeatureRows:
        count = len(events)
        edges = self._plan.layout.edges
        admission = Admission(
            np.empty((count, FIRST_EDGE + len(edges)), np.int64),
            np.empty((count, 2), np.bool_),
            np.empty(count, np.int64),
        )
        keys = pack_keys(_as_texts(self._column(events, self._key)))
        ids = hash_texts(events.transaction_ids, MISSING)
        rows = np.empty((count, len(self.spec.features)), np.float64)
        self._fill_event_features(events, rows)
        state.begin(count)
        first = 0
        while first < count:
            last = state.admit_segment(
                first, count, keys, ids, events.event_time_ms, offsets, admission
            )
            self._fill_later_features(events, rows, state, admission, first, last)
            first = last
        X = (
            rows
            if self._outputs is None
            else np.ascontiguousarray(rows[:, self._outputs])
        )
        late, duplicate = admission.flags[:, 0], admission.flags[:, 1]
        return FeatureRows(X, late, duplicate, admission.watermarks_ms)

    def _column(self, events: EventBatch, name: str) -> Column:
        schema = self.spec.schema
        if name == schema.event_time:
            return events.event_time_ms
        if name == schema.transaction_id:
            return list(events.transaction_ids)
        return events.columns[name]

    def _fill_event_features(self, events: EventBatch, rows: Floats) -> None:
        """Features that need neither state nor other features."""
        local_ms: Ints | None = None
        for i, feature in enumerate(self.spec.features):
            if isinstance(feature, EventFeature):
                values = self._column(events, feature.field)
                assert isinstance(values, np.ndarray)
                field = self._fields[feature.field]
                rows[:, i] = event_column(values, field, feature)
            elif isinstance(feature, CalendarFeature):
                if local_ms is None:
                    local_ms = self._clock.local_ms(events.event_time_ms)
                rows[:, i] = calendar_part(local_ms, feature.part)

    def _fill_later_features(
        self,
        events: EventBatch,
        rows: Floats,
        state: FeatureState,
        admission: Admission,
        first: int,
        last: int,
    ) -> None:
        """Windows and derived features of a segment, in declared order."""
        folded = set()
        for i, feature in enumerate(self.spec.features):
            if isinstance(feature, DerivedFeature):
                inputs = [
                    rows[first:last, self._plan.columns[name]]
                    for name in feature.inputs
                ]
                rows[first:last, i] = derived_column(inputs, feature)
            elif isinstance(feature, WindowFeature):
                key = (feature.of, feature.where)
                if key not in folded:
                    folded.add(key)
                    measure = self._plan.measures[key]
                    values = self._measured(events, rows, measure, first, last)
                    fold_measure(
                        measure,
                        values,
                        events.event_time_ms,
                        state,
                        admission,
                        first,
                        last,
                        rows,
                    )

    def _measured(
        self,
        events: EventBatch,
        rows: Floats,
        measure: MeasurePlan,
        first: int,
        last: int,
    ) -> Ints:
        """Values of a measure as integers; only rows [first, last) are filled."""
        values = np.ones(len(events), np.int64)
        span = slice(first, last)
        if measure.of is not None:
            values[span] = self._integers(events, rows, measure.of, span)
        if measure.where is not None:
            holds = rows[span, self._plan.columns[measure.where]] == 1.0
            values[span][~holds] = MISSING
        return values

    def _integers(
        self, events: EventBatch, rows: Floats, name: str, span: slice
    ) -> Ints:
        field: Field | None = self._fields.get(name)
        if field is None:
            feature = self.spec.features[self._plan.columns[name]]
            assert isinstance(feature, DerivedFeature)
            column = rows[span, self._plan.columns[name]]
            return to_integers(column, feature.decimals or 0)
        column_values = self._column(events, name)
        if isinstance(column_values, np.ndarray):
            return column_values[span]
        return hash_texts(column_values[span], MISSING)


def _as_texts(column: Column) -> list[str]:
    """Return keys as texts; integer keys by their decimal digits."""
    if isinstance(column, np.ndarray):
        return list(map(str, column.tolist()))
    return column  # type: ignore[return-value]  # a key is required, never None


def _slice(events: EventBatch, at: int) -> EventBatch:
    if len(events) <= CHUNK_ROWS:
        return events
    return events.take(slice(at, at + CHUNK_ROWS))
