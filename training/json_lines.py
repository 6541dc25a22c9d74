"""Lines of JSON as the worker decodes them: a file is a topic without its keys.

Owns the splitting into lines, and the names that a file uses for the fields.
"""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

import numpy as np

from worker.codec import Decoder
from worker.records import Column, Decoded, EventBatch, EventSchema, Rejection

#: Lines decoded at once.
LINES_AT_ONCE = 65_536


def read_lines(path: Path) -> Iterator[list[bytes]]:
    """Yield the lines of a file, gzipped or not, without empty ones, some at a time."""
    lines: list[bytes] = []
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for line in file:
            if stripped := line.strip():
                lines.append(stripped)
            if len(lines) == LINES_AT_ONCE:
                yield lines
                lines = []
    if lines:
        yield lines


def decode_lines(path: Path, schema: EventSchema, names: Mapping[str, str]) -> Decoded:
    """Decode each line as the value of a record.

    Parameters
    ----------
    names
        Field to name in the file, where they differ.
    """
    decoder = Decoder(_renamed(schema, names), key_is_entity=None)
    parts: list[EventBatch] = []
    rows = [np.arange(0)]
    rejections: list[Rejection] = []
    fields = {name: field for field, name in names.items()}
    first = 0
    for lines in read_lines(path):
        nothing = [None] * len(lines)
        decoded = decoder.decode(nothing, lines, [-1] * len(lines))
        parts.append(decoded.events)
        rows.append(decoded.rows + first)
        rejections += [
            Rejection(first + row, reason, fields.get(name, name) if name else None)
            for row, reason, name in decoded.rejections
        ]
        first += len(lines)
    events = _joined(parts, schema, names)
    return Decoded(events, np.concatenate(rows), rejections)


def _renamed(schema: EventSchema, names: Mapping[str, str]) -> EventSchema:
    """Return the schema under the names that the file uses."""
    fields = tuple(
        dataclasses.replace(field, name=names.get(field.name, field.name))
        for field in schema.fields
    )
    return dataclasses.replace(
        schema,
        fields=fields,
        transaction_id=names.get(schema.transaction_id, schema.transaction_id),
        event_time=names.get(schema.event_time, schema.event_time),
        keys=tuple(names.get(key, key) for key in schema.keys),
    )


def _joined(
    parts: list[EventBatch], schema: EventSchema, names: Mapping[str, str]
) -> EventBatch:
    """Return the parts as one, under the fields' own names."""
    identity = {schema.transaction_id, schema.event_time}
    others = [field.name for field in schema.fields if field.name not in identity]
    times = [np.zeros(0, np.int64), *(part.event_time_ms for part in parts)]
    return EventBatch(
        list(chain.from_iterable(part.transaction_ids for part in parts)),
        np.concatenate(times),
        {
            name: _joined_column(
                [part.columns[names.get(name, name)] for part in parts]
            )
            for name in others
        },
    )


def _joined_column(parts: list[Column]) -> Column:
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    if arrays:
        return np.concatenate(arrays)
    return list(chain.from_iterable(parts))
