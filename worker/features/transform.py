"""The transform: events in, feature rows out; the one implementation of both halves.

Training calls it on history, the worker on batches. How the log is cut into batches
never changes a row: whether an event is late, a repeat or expired is decided once,
in log order, before the first feature is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.features.admitted import Admission
from worker.features.filling import FieldIntegers, StageColumns
from worker.features.keys import as_texts, hash_texts, pack_keys
from worker.features.merging import Records, merged, only_events
from worker.features.plan import compile_plan
from worker.features.spec import Spec
from worker.features.state import (
    DEFAULT_MAX_EVENTS,
    DEFAULT_MAX_KEYS,
    FeatureState,
)
from worker.records import MISSING, Column, EventBatch, LabelBatch

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Rows computed at once: bounds the memory that a long history takes.
CHUNK_ROWS = 65_536


class FeatureRows(NamedTuple):
    """The features of n events, in log order.

    Attributes
    ----------
    X
        (n, n_columns) float64, C order, columns as `FeatureTransform.column_names`;
        NaN stands for missing.
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


class Run(NamedTuple):
    """Consecutive events and labels of a batch: those of one log, with its state."""

    state: FeatureState
    events: int
    labels: int


class FeatureTransform:
    """Computes the features that belong to one stage of a spec.

    Parameters
    ----------
    stage
        The place of an entity in the spec: its events are the state.

    Attributes
    ----------
    column_names
        What the rows hold: after the last stage `Spec.feature_names`, before it what
        the later stages need.
    """

    def __init__(self, spec: Spec, stage: int = 0) -> None:
        self.spec = spec
        self.stage = stage
        self.column_names = spec.names_after(stage)
        self._plan = compile_plan(spec, stage)
        self._columns = StageColumns(spec, stage, self._plan)
        self._key = spec.entities[stage].key
        places = self._plan.columns
        self._given = [places[n] for n in spec.names_after(stage - 1)] if stage else []
        self._handed_on = [places[name] for name in self.column_names]
        self._are_all_handed_on = self._handed_on == list(range(len(spec.features)))

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
        labels: LabelBatch | None = None,
        given: Floats | None = None,
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
        labels
            Those that stand between the events.
        given
            (n, k) float64: the rows of the stage before, for all stages but the first.

        Raises
        ------
        StateUnusable
            When a limit on live keys or events is reached.
        """
        state = state or self.new_state()
        chunks = [
            self._transform_chunk(events, state, offsets, labels, given, at)
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

    def transform_runs(
        self,
        events: EventBatch,
        runs: Sequence[Run],
        *,
        offsets: Ints | None = None,
        labels: LabelBatch | None = None,
        given: Floats | None = None,
    ) -> FeatureRows:
        """Compute the rows of events of several logs, in memory for all of them.

        What needs no state is computed once for all, since the calls of a small batch
        cost more than its events do.

        Parameters
        ----------
        runs
            All events and labels, each log's together; see `transform` for the rest.

        Raises
        ------
        StateUnusable
            When a limit on live keys or events is reached.
        """
        given = np.empty((len(events), 0)) if given is None else given
        records = self._records(events, offsets, given, labels)
        work = self._work(records)
        first = 0
        for run in runs:
            last = first + run.events + run.labels
            self._advance(work, run.state, first, last)
            first = last
        assert first == len(records.events), "each record belongs to a run"
        return self._handed(work)

    def warm_up(self) -> None:
        """Compile the kernels, or load them, before the first event arrives.

        Those of snapshots too: the first one must not stop the loop for seconds.
        """
        text: list[str | None] = ["0", "1", "0"]
        times = np.array([86_400_000, 86_400_000, 3_600_000], np.int64)
        columns: dict[str, Column] = {
            field.name: text if field.type == "text" else times
            for field in self.spec.schema.fields
        }
        state = self.new_state()
        given = np.zeros((3, len(self._given)))
        self.transform(EventBatch(["0", "1", "2"], times, columns), state, given=given)
        self.new_state().take_in(state.copy_out(0, state.slot_count, 0))

    def _transform_chunk(
        self,
        events: EventBatch,
        state: FeatureState,
        offsets: Ints | None,
        labels: LabelBatch | None,
        given: Floats | None,
        at: int,
    ) -> FeatureRows:
        """Transform the events from `at` on that are computed at once."""
        if len(events) > CHUNK_ROWS:
            span = slice(at, at + CHUNK_ROWS)
            if labels is not None:
                # Those behind the last event of a chunk go with it, like any other.
                edges = [at, min(at + CHUNK_ROWS, len(events))]
                first, last = np.searchsorted(labels.before, edges, "right").tolist()
                own = slice(first if at else 0, last)
                labels = labels.take(own, event_shift=at)
            events = events.take(span)
            given = None if given is None else given[span]
            offsets = None if offsets is None else offsets[span]
        run = Run(state, len(events), 0 if labels is None else len(labels))
        return self.transform_runs(
            events, [run], offsets=offsets, labels=labels, given=given
        )

    def _records(
        self,
        events: EventBatch,
        offsets: Ints | None,
        given: Floats,
        labels: LabelBatch | None,
    ) -> Records:
        if labels is None or len(labels) == 0:
            may_have_labels = bool(self._plan.frauds)
            return only_events(events, offsets, given, may_have_labels=may_have_labels)
        return merged(events, offsets, given, labels, key=self._key)

    def _work(self, records: Records) -> _Work:
        """Return what is known of records before any state is asked."""
        events, count = records.events, len(records.events)
        # Labels, and events that are passed over, have no windows to fill their rows.
        rows = np.full((count, len(self.spec.features)), np.nan)
        if self._given:
            rows[:, self._given] = records.given
        self._columns.fill_event_features(events, rows)
        return _Work(
            records,
            pack_keys(as_texts(self._columns.column(events, self._key))),
            hash_texts(events.transaction_ids, MISSING),
            self._columns.fields(events),
            rows,
            Admission.of(
                count, edge_count=len(self._plan.layout.edges), marks=records.marks
            ),
        )

    def _advance(self, work: _Work, state: FeatureState, first: int, last: int) -> None:
        """Fold records [first, last) into a state, and fill their rows."""
        events, admission = work.records.events, work.admission
        state.begin(last - first)
        while first < last:
            done = state.admit_segment(
                first,
                last,
                work.keys,
                work.ids,
                events.event_time_ms,
                work.records.offsets,
                admission,
            )
            self._columns.fill_segment(
                work.fields, work.rows, state, admission, first, done
            )
            first = done

    def _handed(self, work: _Work) -> FeatureRows:
        """Return what later stages and the model see: of events, not of labels."""
        flags, watermarks_ms = work.admission.flags, work.admission.watermarks_ms
        rows, event_rows = work.rows, work.records.event_rows
        if event_rows is not None:
            rows, flags = rows[event_rows], flags[event_rows]
            watermarks_ms = watermarks_ms[event_rows]
        if not self._are_all_handed_on:
            rows = rows.take(self._handed_on, axis=1)
        return FeatureRows(rows, flags[:, 0], flags[:, 1], watermarks_ms)


class _Work(NamedTuple):
    """What the passes over n records read and write.

    keys : (n, 2) uint64. ids : (n,) int64. rows : (n, n_declared) float64.
    """

    records: Records
    keys: NDArray[np.uint64]
    ids: Ints
    fields: FieldIntegers
    rows: Floats
    admission: Admission
