"""Events and labels merged into one sequence of records, as they stand in the log."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.features.layout import (
    MARK_COLUMNS,
    MARK_LABEL,
    MARK_POSITION,
    MARK_WAITED,
    NEVER,
)
from worker.records import MISSING, Column, EventBatch, LabelBatch

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Stands for an offset that no snapshot can hold.
NEW = int(np.iinfo(np.int64).max)


class Records(NamedTuple):
    """n records of a log, events and labels, as the kernels take them.

    Attributes
    ----------
    events
        A label has a row too: its transaction's id, time and key, else nothing.
    given
        (n, k) float64, what the stages before have computed.
    marks
        (n, MARK_COLUMNS) int64, or (0, MARK_COLUMNS) where all are events.
    event_rows
        (m,) the places of the events; None where all are events.
    """

    events: EventBatch
    offsets: Ints
    given: Floats
    marks: Ints
    event_rows: NDArray[np.intp] | None


def only_events(
    events: EventBatch, offsets: Ints | None, given: Floats, *, may_have_labels: bool
) -> Records:
    """Return records without labels; marks only where the plan asks for them."""
    count = len(events)
    if offsets is None:
        offsets = np.full(count, NEW, np.int64)
    marks = _marks(count) if may_have_labels else _NO_MARKS
    return Records(events, offsets, given, marks, None)


def merged(
    events: EventBatch,
    offsets: Ints | None,
    given: Floats,
    labels: LabelBatch,
    *,
    key: str,
) -> Records:
    """Return events and labels in the order of the log."""
    count, label_count = len(events), len(labels)
    label_rows = labels.before + np.arange(label_count)
    index = np.full(count + label_count, count, np.intp)
    is_event = np.ones(len(index), np.bool_)
    is_event[label_rows] = False
    event_rows = np.flatnonzero(is_event)
    index[event_rows] = np.arange(count)
    filled = _with_blank(events).take(index)
    columns = dict(filled.columns)
    columns[key] = _replaced(columns[key], label_rows, labels.keys)
    times = filled.event_time_ms.copy()
    times[label_rows] = labels.event_time_ms
    for row, identity in zip(label_rows.tolist(), labels.transaction_ids, strict=True):
        filled.transaction_ids[row] = identity
    marks = _marks(len(index))
    marks[label_rows, MARK_LABEL] = np.where(labels.fraud, labels.label_time_ms, NEVER)
    all_offsets = np.full(len(index), NEW, np.int64)
    if offsets is not None and labels.offsets is not None:
        all_offsets[event_rows], all_offsets[label_rows] = offsets, labels.offsets
    all_given = np.full((len(index), given.shape[1]), np.nan)
    all_given[event_rows] = given
    merged_events = EventBatch(filled.transaction_ids, times, columns)
    return Records(merged_events, all_offsets, all_given, marks, event_rows)


def _marks(count: int) -> Ints:
    marks = np.full((count, MARK_COLUMNS), MISSING, np.int64)
    marks[:, MARK_POSITION] = -1
    marks[:, MARK_WAITED] = NEVER
    return marks


_NO_MARKS = _marks(0)


def _with_blank(events: EventBatch) -> EventBatch:
    """Return the events and one more row, in which everything is missing."""

    def longer(column: Column) -> Column:
        if isinstance(column, np.ndarray):
            return np.append(column, MISSING)
        return [*column, None]

    return EventBatch(
        [*events.transaction_ids, ""],
        np.append(events.event_time_ms, 0),
        {name: longer(column) for name, column in events.columns.items()},
    )


def _replaced(column: Column, rows: NDArray[np.int64], values: Column) -> Column:
    if isinstance(column, np.ndarray):
        assert isinstance(values, np.ndarray)
        column[rows] = values
        return column
    for row, value in zip(rows.tolist(), values, strict=True):
        column[row] = value
    return column
