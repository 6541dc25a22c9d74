"""Chooses the golden events of a bundle from history, and writes them as records.

Knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from worker.codec import format_dates, format_times
from worker.records import MISSING, Column, EventBatch, EventSchema, Field
from worker.scoring import GoldenRecord

#: Golden records in a bundle: enough to fill windows, few enough to load at once.
RECORD_COUNT = 200

#: Entities among which they are shared.
ENTITY_COUNT = 8

Rows = NDArray[np.intp]


def golden_records(events: EventBatch, schema: EventSchema) -> list[GoldenRecord]:
    """Return about 200 records of a few entities, the busiest among them.

    The first and the last come once more at the end, so that a repeated and a late
    event are golden too. Transaction ids and keys are numbered anew: which ones they
    were is nobody's business who sees a bundle, and no feature depends on it.
    """
    rows = choose_rows(_texts(events, schema.keys[0]))
    chosen = _pseudonymous(events.take(np.append(rows, rows[[0, -1]])), schema)
    keys = _texts(chosen, schema.keys[0])
    values = encode_events(chosen, schema)
    times = chosen.event_time_ms.tolist()
    return [
        GoldenRecord(key, value.decode(), time)
        for key, value, time in zip(keys, values, times, strict=True)
    ]


def choose_rows(keys: Sequence[str]) -> Rows:
    """Return the rows of the last events of a few keys, in log order.

    The keys stand evenly in the ranking by events, from the busiest to the rarest;
    the busiest fills up what the rarer ones lack.
    """
    numbers: dict[str, int] = {}
    codes = np.fromiter((numbers.setdefault(k, len(numbers)) for k in keys), np.intp)
    ranking = np.argsort(-np.bincount(codes), kind="stable")
    ranks = np.linspace(0, len(ranking) - 1, ENTITY_COUNT).astype(np.intp)
    chosen = ranking[np.unique(ranks)]
    quota = RECORD_COUNT // len(chosen)
    parts = [np.flatnonzero(codes == code)[-quota:] for code in chosen[1:]]
    rest = RECORD_COUNT - sum(map(len, parts))
    parts.append(np.flatnonzero(codes == chosen[0])[-rest:])
    return np.sort(np.concatenate(parts))


def encode_events(events: EventBatch, schema: EventSchema) -> list[bytes]:
    """Write events as the JSON that the decoder reads; what is missing is left out."""
    columns = {
        schema.transaction_id: _json_values(
            schema.field(schema.transaction_id), events.transaction_ids
        ),
        schema.event_time: list(format_times(events.event_time_ms)),
    }
    for name, column in events.columns.items():
        columns[name] = _json_values(schema.field(name), column)
    names = [field.name for field in schema.fields]
    return [
        orjson.dumps({n: v for n, v in zip(names, row, strict=True) if v is not None})
        for row in zip(*(columns[name] for name in names), strict=True)
    ]


def _json_values(
    field: Field, column: Sequence[str | None] | NDArray[np.int64]
) -> list[Any]:
    """Return the values of a column as JSON has them; None where one is missing."""
    if not isinstance(column, np.ndarray):
        if field.type == "integer":  # identifies: held as the text of its digits
            return [None if text is None else int(text) for text in column]
        return list(column)
    if field.type == "date":
        return [None if d == MISSING else format_dates(d.reshape(1))[0] for d in column]
    if field.type == "time":
        return [None if t == MISSING else format_times(t.reshape(1))[0] for t in column]
    return [
        None if value == MISSING else _json_number(field, value)
        for value in column.tolist()
    ]


def _json_number(field: Field, value: int) -> float | str | bool:
    if field.type == "boolean":
        return bool(value)
    if field.type == "integer" or field.encoding == "minor":
        return value
    if field.encoding == "number":
        return float(value / 10**field.decimals)
    digits = f"{abs(value):0{field.decimals + 1}}"
    whole, fraction = digits[: len(digits) - field.decimals], digits[-field.decimals :]
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}.{fraction}" if field.decimals else f"{sign}{whole}"


def _texts(events: EventBatch, name: str) -> list[str]:
    """Return a required column that identifies something, as texts."""
    column = events.columns[name]
    if isinstance(column, np.ndarray):
        return list(map(str, column.tolist()))
    return [text for text in column if text is not None]


def _pseudonymous(events: EventBatch, schema: EventSchema) -> EventBatch:
    keys: dict[str, Column] = {
        name: list(_numbered(_texts(events, name))) for name in schema.keys
    }
    return EventBatch(
        _numbered(events.transaction_ids),
        events.event_time_ms,
        {**events.columns, **keys},
    )


def _numbered(texts: Sequence[str]) -> list[str]:
    """Return 1, 2, 3, ... in the order of first appearance, as texts."""
    numbers: dict[str, int] = {}
    return [str(numbers.setdefault(text, len(numbers) + 1)) for text in texts]
