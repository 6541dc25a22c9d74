"""Values of the right types, a list or array for each field, checked as columns.

Owns ranges, decimals and times of whole columns. Knows no JSON and no file format:
what the decoder parsed and what training read from a file are checked by this code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.codec.dates import parse_dates
from worker.codec.decimals import (
    Bounds,
    bounds_of,
    check_bounds,
    parse_decimals,
    scale_numbers,
)
from worker.codec.times import check_span, parse_times
from worker.codec.verdict import Codes, Verdict
from worker.records import MISSING, Column, EventBatch, EventSchema, Field

#: A list of Python values (None: no value), or an array: int64 with `MISSING`, float64
#: with NaN, or datetime64.
Values = list[Any] | NDArray[Any]


class Checked(NamedTuple):
    """A column as events hold it, and what is wrong with its rows."""

    column: Column
    codes: Codes | None


class ColumnChecks:
    """Turns the values of one schema's fields into events, and notes every problem."""

    def __init__(self, schema: EventSchema) -> None:
        self._schema = schema
        self.names = tuple(field.name for field in schema.fields)
        self._checks = tuple(_check_of(schema, field) for field in schema.fields)

    def build(self, values: Sequence[Values], verdict: Verdict) -> EventBatch:
        """Return a candidate for each row; nonsense where the verdict has a problem.

        `values` stand in the order of the schema's fields.
        """
        columns: dict[str, Column] = {}
        for index, check in enumerate(self._checks):
            column, codes = check(values[index])
            columns[self.names[index]] = column
            verdict.add(codes, index)
        transaction_ids: Any = columns.pop(self._schema.transaction_id)
        event_time_ms: Any = columns.pop(self._schema.event_time)
        return EventBatch(transaction_ids, event_time_ms, columns)


def _check_of(schema: EventSchema, field: Field) -> Callable[[Values], Checked]:
    """Choose the check of a field, once."""
    bounds = bounds_of(field)
    if field.type == "text":
        return _check_texts
    if field.name in {schema.transaction_id, *schema.keys}:
        limits = bounds if has_range(field) else None
        return lambda values: _check_identities(values, limits)
    if field.type == "time":
        return check_times if field.name == schema.event_time else _check_times
    if field.type == "date":
        return _check_dates
    if field.type == "decimal" and field.encoding != "minor":
        return lambda values: _check_decimals(values, field, bounds)
    return lambda values: _check_integers(values, bounds)


def has_range(field: Field) -> bool:
    """Whether the field declares a least or a greatest value."""
    return field.minimum is not None or field.maximum is not None


def _check_texts(values: Values) -> Checked:
    """Texts have no value to be checked; their lengths came with their type."""
    return Checked(values if isinstance(values, list) else values.tolist(), None)


def _check_identities(values: Values, bounds: Bounds | None) -> Checked:
    """Integers that identify: held as decimal text, limited only if declared so."""
    integers = _integers(values)
    codes = check_bounds(integers, bounds) if bounds is not None else None
    return Checked(list(map(str, integers.tolist())), codes)


def _check_integers(values: Values, bounds: Bounds) -> Checked:
    """Integers, decimals in minor units, and booleans."""
    integers = _integers(values)
    return Checked(integers, check_bounds(integers, bounds))


def _check_decimals(values: Values, field: Field, bounds: Bounds) -> Checked:
    """Numbers or texts, held in units of 10**-decimals."""
    if isinstance(values, np.ndarray):
        return Checked(*scale_numbers(values, field, bounds))
    first = next((value for value in values if value is not None), None)
    if not isinstance(first, str):
        numbers = np.array(values, np.float64)  # None becomes NaN
        return Checked(*scale_numbers(numbers, field, bounds))
    return _parse_present(values, lambda texts: parse_decimals(texts, field, bounds))


def _check_times(values: Values, *, must_be_plausible: bool = False) -> Checked:
    """Times in RFC 3339 or, also within one column, in integer milliseconds.

    A number outside 2000 to 2100 is in another unit; a text may say what it will,
    unless it must be plausible.
    """
    if isinstance(values, list) and set(map(type, values)) == {int}:
        values = _integers(values)
    if isinstance(values, np.ndarray):
        if values.dtype.kind != "M":
            return Checked(values, check_span(values, guess_unit=True))
        checked = Checked(values.astype("datetime64[ms]").astype(np.int64), None)
    else:
        try:
            checked = Checked(*parse_times(values))
        except TypeError:
            checked = _check_mixed_times(values)
    if not must_be_plausible:
        return checked
    ms, codes = checked
    assert isinstance(ms, np.ndarray)
    return Checked(ms, _merge(codes, check_span(ms, guess_unit=False)))


def _check_dates(values: Values) -> Checked:
    """Dates as texts, or as datetime64; held in days since 1970."""
    if isinstance(values, np.ndarray):
        return Checked(values.astype("datetime64[D]").astype(np.int64), None)
    return _parse_present(values, parse_dates)


def _check_mixed_times(values: list[Any]) -> Checked:
    is_text = np.array([isinstance(value, str) for value in values], np.bool_)
    ms = _integers([None if isinstance(value, str) else value for value in values])
    codes = check_span(ms, guess_unit=True)
    texts = _parse_present(
        [value if isinstance(value, str) else None for value in values], parse_times
    )
    merged = np.where(is_text, np.asarray(texts.column), ms)
    return Checked(merged, _merge(texts.codes, codes))


def check_times(values: Values) -> Checked:
    """Times that must be plausible however they are written."""
    return _check_times(values, must_be_plausible=True)


def _merge(first: Codes | None, second: Codes | None) -> Codes | None:
    """Join two columns of problems; the first stays where both have one."""
    if first is None or second is None:
        return second if first is None else first
    return np.where(first == 0, second, first)


def _integers(values: Values) -> NDArray[np.int64]:
    if isinstance(values, np.ndarray):
        return values
    try:
        return np.fromiter(values, np.int64, len(values))
    except TypeError:
        present = [MISSING if value is None else value for value in values]
        return np.array(present, np.int64)


def _parse_present(
    texts: list[str | None],
    parse: Callable[[list[str]], tuple[NDArray[np.int64], Codes | None]],
) -> Checked:
    """Parse the texts that are there; the others become `MISSING`."""
    present = [row for row, text in enumerate(texts) if text is not None]
    parsed, found = parse([text for text in texts if text is not None])
    column = np.full(len(texts), MISSING, np.int64)
    column[present] = parsed
    if found is None:
        return Checked(column, None)
    codes = np.zeros(len(texts), np.uint8)
    codes[present] = found
    return Checked(column, codes)
