"""What a history holds, told before anything is learnt from it.

Owns the words and the columns of the report. Holds counts and ranges, no payments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from training.split import moment
from training.tables import table_lines
from worker.codec import format_dates
from worker.records import MISSING, EventBatch, EventSchema, Field, Rejection


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """A field's values: the file's type and the spec's, the range, what is missing."""

    name: str
    file_type: str
    type: str
    values: str
    missing: int


@dataclass(frozen=True, slots=True)
class DataReport:
    """What was found in a file of transactions.

    Attributes
    ----------
    repeated_ids
        Accepted rows whose id came before.
    backward
        Rows earlier than the row before them.
    notices
        What was assumed, one sentence each.
    """

    path: Path
    rows: int
    accepted: int
    rejections: Sequence[Rejection]
    columns: Sequence[ColumnFacts]
    repeated_ids: int
    backward: int
    notices: Sequence[str] = field(default_factory=tuple)

    def lines(self) -> Iterator[str]:
        """Yield the report as people read it."""
        yield f"{self.path}: {self.rows:,} rows, {self.accepted:,} accepted"
        yield from rejection_lines(self.rejections)
        yield from table_lines(
            ["field", "in the file", "in the spec", "values", "missing"],
            [
                [c.name, c.file_type, c.type, c.values, f"{c.missing:,}"]
                for c in self.columns
            ],
            "<<<<>",
        )
        yield f"  repeated ids: {self.repeated_ids:,}"
        yield f"  rows out of time order: {self.backward:,}"
        for notice in self.notices:
            yield f"  notice: {notice}"


def rejection_lines(rejections: Sequence[Rejection]) -> Iterator[str]:
    """Yield how many rows were left out for which reason, the most frequent first."""
    first: dict[tuple[str, str], int] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for row, reason, name in rejections:
        kind = (str(reason), name or "the row")
        counts[kind] += 1
        first.setdefault(kind, row)
    for kind, count in counts.most_common():
        what, where = kind
        row = first[kind] + 1
        yield f"  left out: {count:,} x {what} in {where}, first in row {row:,}"


def describe_columns(
    schema: EventSchema, events: EventBatch, file_types: Mapping[str, str]
) -> list[ColumnFacts]:
    """Return the facts of each field of accepted events."""
    facts = []
    for declared in schema.fields:
        values, missing = _describe(declared, _values(schema, events, declared.name))
        file_type = file_types.get(declared.name, "absent")
        facts.append(
            ColumnFacts(declared.name, file_type, _type(declared), values, missing)
        )
    return facts


def _values(schema: EventSchema, events: EventBatch, name: str) -> object:
    if name == schema.transaction_id:
        return events.transaction_ids
    return events.event_time_ms if name == schema.event_time else events.columns[name]


def _type(declared: Field) -> str:
    if declared.type == "decimal":
        return f"decimal({declared.decimals})"
    return declared.type


def _describe(declared: Field, values: object) -> tuple[str, int]:
    """Return the range, or the number of distinct texts, and how many are missing."""
    if isinstance(values, list):
        distinct = set(values)
        missing = values.count(None) if None in distinct else 0
        return f"{len(distinct - {None}):,} distinct", missing
    assert isinstance(values, np.ndarray)
    present = values[values != MISSING]
    missing = len(values) - len(present)
    if len(present) == 0:
        return "none", missing
    low, high = int(present.min()), int(present.max())
    return f"{_written(declared, low)} .. {_written(declared, high)}", missing


def _written(declared: Field, value: int) -> str:
    if declared.type == "time":
        return moment(value)
    if declared.type == "date":
        return format_dates(np.array([value]))[0]
    if declared.type == "decimal":
        return f"{value / 10**declared.decimals:,.{declared.decimals}f}"
    return f"{value:,}"
