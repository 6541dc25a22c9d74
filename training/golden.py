"""Chooses the golden events of a bundle from history, and writes them as records.

Knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from training.split import LabelledHistory
from worker.codec import format_dates, format_times
from worker.codec.labels import FRAUD, LABEL_TIME, label_schema
from worker.features import Spec
from worker.records import MISSING, Column, EventBatch, EventSchema, Field
from worker.scoring import GoldenLabel, GoldenRecord

#: Golden records in a bundle: enough to fill windows, few enough to load at once.
RECORD_COUNT = 200

#: Entities among which they are shared.
ENTITY_COUNT = 8

Rows = NDArray[np.intp]


def golden_log(
    events: EventBatch, spec: Spec, history: LabelledHistory | None = None
) -> tuple[list[GoldenRecord], list[GoldenLabel]]:
    """Return about 200 records of a few entities, and the labels among them.

    The entities are the busiest and rarer ones; where the spec looks at labels, they
    are of the kind whose labels it looks at, those with most frauds first. The first
    and the last record come once more at the end, so that a repeated and a late event
    are golden too. Transaction ids and keys are numbered anew: which ones they were is
    nobody's business who sees a bundle, and no feature depends on it.

    Parameters
    ----------
    history
        The labels of the events, where the spec looks at labels.
    """
    schema = spec.schema
    labelled = [i for i in range(len(spec.entities)) if spec.stage_uses_labels(i)]
    entity = labelled[0] if labelled else 0
    weights = None if history is None else history.fraud.astype(np.float64)
    rows = choose_rows(_texts(events, schema.keys[entity]), weights)
    chosen = _pseudonymous(events.take(np.append(rows, rows[[0, -1]])), schema)
    keys = _texts(chosen, schema.keys[0])
    times = chosen.event_time_ms.tolist()
    records = [
        GoldenRecord(key, value.decode(), time)
        for key, value, time in zip(
            keys, encode_events(chosen, schema), times, strict=True
        )
    ]
    if history is None or not labelled:
        return records, []
    stage_keys = [spec.entities[i].key for i in labelled]
    first_ones = chosen.take(slice(len(rows)))
    return records, _golden_labels(first_ones, schema, stage_keys, history, rows)


def _golden_labels(
    events: EventBatch,
    schema: EventSchema,
    keys: Sequence[str],
    history: LabelledHistory,
    rows: Rows,
) -> list[GoldenLabel]:
    """Return the frauds among the events, where the stream would have them."""
    frauds = np.flatnonzero(history.fraud[rows])
    known_ms = history.known_ms[rows][frauds]
    order = np.argsort(known_ms, kind="stable")
    known_ms, events = known_ms[order], events.take(frauds[order])
    labels = label_schema(schema, keys)
    columns = {name: events.columns[name] for name in labels.keys}
    columns[FRAUD] = np.ones(len(events), np.int64)
    columns[LABEL_TIME] = known_ms
    batch = EventBatch(events.transaction_ids, events.event_time_ms, columns)
    before = np.searchsorted(history.event_time_ms[rows], known_ms, "left")
    return [
        GoldenLabel(at, value.decode(), time)
        for at, value, time in zip(
            before.tolist(),
            encode_events(batch, labels),
            known_ms.tolist(),
            strict=True,
        )
    ]


def choose_rows(
    keys: Sequence[str], weights: NDArray[np.float64] | None = None
) -> Rows:
    """Return the rows of the last events of a few keys, in log order.

    The keys stand evenly in the ranking by events, from the busiest to the rarest;
    the busiest fills up what the rarer ones lack. With weights (n,) of the events,
    the keys are those of the greatest weight, then of most events.
    """
    numbers: dict[str, int] = {}
    codes = np.fromiter((numbers.setdefault(k, len(numbers)) for k in keys), np.intp)
    counts = np.bincount(codes)
    ranking = np.argsort(-counts, kind="stable")
    ranks = np.linspace(0, len(ranking) - 1, ENTITY_COUNT).astype(np.intp)
    if weights is not None:
        ranking = np.lexsort((-counts, -np.bincount(codes, weights)))
        ranks = np.arange(min(ENTITY_COUNT, len(ranking)))
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
