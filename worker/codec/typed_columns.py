"""Typed columns of a file (Parquet, CSV, a data frame) to events.

Owns which array or list may stand for which type of field. What it lets through is
checked by `columns`, so a file and a stream agree on what an event is:

========  ========================================  =============================
field     arrays                                    lists (None: no value)
========  ========================================  =============================
text      integers (as decimal text)                str, int (as decimal text)
integer   integers, floats without a fraction       int
decimal   integers, floats                          int, float, Decimal, str
minor     integers, floats without a fraction       int
boolean   bool, integers 0 and 1                    bool
time      datetime64 (UTC), integers (ms)           str (RFC 3339), int (ms)
date      datetime64 without a time of day          str (RFC 3339)
========  ========================================  =============================

"minor" is a decimal in minor units. Arrays of texts or objects are read as lists. NaN
and NaT mean that there is no value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.codec.columns import ColumnChecks, Values
from worker.codec.texts import lengths_of
from worker.codec.verdict import Codes, Verdict, code_of
from worker.errors import InvalidConfig
from worker.records import MISSING, Decoded, EventSchema, Field, Reason

RawColumn = Sequence[Any] | NDArray[Any]

#: The kinds of numpy types that may stand for a type of field.
_ARRAY_KINDS = {
    "text": "iu",
    "integer": "iuf",
    "decimal": "iuf",
    "minor": "iuf",
    "boolean": "biu",
    "time": "iuM",
    "date": "M",
}

#: The Python types that may.
_LIST_TYPES: dict[str, set[type]] = {
    "text": {str, int},
    "integer": {int},
    "decimal": {int, float, Decimal, str},
    "minor": {int},
    "boolean": {bool},
    "time": {str, int},
    "date": {str},
}

_NULL = code_of(Reason.NULL_FIELD)
_WRONG_TYPE = code_of(Reason.WRONG_TYPE)
_OUT_OF_RANGE = code_of(Reason.OUT_OF_RANGE)


class _Typed(NamedTuple):
    """Values for `columns`, and a code for each row that is not of its type."""

    values: Values
    codes: Codes


def columns_to_events(schema: EventSchema, columns: Mapping[str, RawColumn]) -> Decoded:
    """Check n rows of typed columns; each becomes one event or one rejection.

    Columns that the schema does not name are ignored; an absent column of an optional
    field has no values. Of several problems in one row the first is named, in the
    decoder's order. Event times are compared with no timestamp: a file has none.

    Raises
    ------
    InvalidConfig
        Listing every column that is absent, of another length, or of a type that
        cannot stand for its field.
    """
    present = [columns[field.name] for field in schema.fields if field.name in columns]
    row_count = max(map(len, present), default=0)
    problems: list[str] = []
    typed: list[_Typed] = []
    for field in schema.fields:
        try:
            typed.append(_read_column(schema, field, columns, row_count))
        except TypeError as error:
            problems.append(f"column {field.name!r} {error}")
    if problems:
        raise InvalidConfig(problems, subject="columns")
    verdict = Verdict(row_count)
    for index, found in enumerate(typed):
        verdict.add(found.codes, index)
    checks = ColumnChecks(schema)
    events = checks.build([found.values for found in typed], verdict)
    rows = np.arange(row_count, dtype=np.intp)
    return verdict.split(events, rows=rows, names=checks.names)


def _read_column(
    schema: EventSchema,
    field: Field,
    columns: Mapping[str, RawColumn],
    row_count: int,
) -> _Typed:
    """Raise TypeError, with the rest of a sentence, where a column is unusable."""
    identity = {schema.transaction_id, schema.event_time, *schema.keys}
    is_identity = field.name in identity
    is_required = field.required or is_identity
    column = columns.get(field.name)
    if column is None:
        if is_required:
            raise TypeError("is absent")
        column = [None] * row_count
    if len(column) != row_count:
        raise TypeError(f"has {len(column)} rows, others have {row_count}")
    is_minor = field.type == "decimal" and field.encoding == "minor"
    kind = "minor" if is_minor else field.type
    if isinstance(column, np.ndarray) and column.dtype.kind not in "OUT":
        typed = _read_array(column, kind, field)
    else:
        listed = column.tolist() if isinstance(column, np.ndarray) else list(column)
        typed = _read_list(listed, kind)
    if kind == "text":
        _check_lengths(typed, field, may_be_empty=not is_identity)
    if is_required:
        typed.codes[_is_missing(typed.values) & (typed.codes == 0)] = _NULL
    return typed


def _is_missing(values: Values) -> NDArray[np.bool_]:
    if isinstance(values, list):
        return np.array([value is None for value in values], np.bool_)
    if values.dtype.kind == "M":
        return np.isnat(values)
    is_missing: NDArray[np.bool_] = (
        np.isnan(values) if values.dtype.kind == "f" else values == MISSING
    )
    return is_missing


def _check_lengths(typed: _Typed, field: Field, *, may_be_empty: bool) -> None:
    lengths = lengths_of(["-" if text is None else text for text in typed.values])
    typed.codes[lengths > field.max_length] = code_of(Reason.TEXT_TOO_LONG)
    if not may_be_empty:
        typed.codes[lengths == 0] = code_of(Reason.TEXT_EMPTY)


def _read_array(column: NDArray[Any], kind: str, field: Field) -> _Typed:
    if column.dtype.kind not in _ARRAY_KINDS[kind]:
        raise TypeError(f"is {column.dtype}, which cannot be read as {kind}")
    codes = np.zeros(len(column), np.uint8)
    if kind == "date":
        days = column.astype("datetime64[D]")
        codes[(days != column) & ~np.isnat(column)] = _WRONG_TYPE
    if column.dtype.kind == "M":
        return _Typed(column, codes)
    if kind == "decimal":
        return _Typed(_to_floats(column, field.decimals), codes)
    if kind == "text":
        return _Typed(list(map(str, column.tolist())), codes)
    if kind == "boolean":
        codes[(column != 0) & (column != 1)] = _WRONG_TYPE
    return _Typed(_to_integers(column, codes), codes)


def _to_floats(column: NDArray[Any], decimals: int) -> NDArray[np.float64]:
    """Widen to binary64; a narrower 57.16 becomes 57.16, not 57.15999984741211."""
    numbers = column.astype(np.float64)
    if column.dtype.kind != "f" or column.dtype.itemsize >= numbers.itemsize:
        return numbers
    rounded = np.round(numbers, decimals)
    return np.where(rounded.astype(column.dtype) == column, rounded, numbers)


def _to_integers(column: NDArray[Any], codes: Codes) -> NDArray[np.int64]:
    """Widen to 64 bits; note fractions, and what does not fit."""
    if column.dtype.kind != "f":
        codes[(column > -(MISSING + 1)) | (column < MISSING + 1)] = _OUT_OF_RANGE
        return column.astype(np.int64)
    codes[np.abs(column) >= -float(MISSING)] = _OUT_OF_RANGE
    codes[(column != np.rint(column)) & ~np.isnan(column)] = _WRONG_TYPE
    usable = (codes == 0) & ~np.isnan(column)
    integers = np.full(len(column), MISSING, np.int64)
    integers[usable] = column[usable].astype(np.int64)
    return integers


def _read_list(values: list[Any], kind: str) -> _Typed:
    codes = np.zeros(len(values), np.uint8)
    types = set(map(type, values))
    if types & {float, Decimal}:  # NaN is how data frames write None
        values = [None if value != value else value for value in values]  # noqa: PLR0124
        types = set(map(type, values))
    if not types <= {type(None), *_LIST_TYPES[kind]}:
        allowed = _LIST_TYPES[kind]
        for row, value in enumerate(values):
            if value is not None and type(value) not in allowed:
                codes[row] = _WRONG_TYPE
        values = _without(values, codes)
    if int in types:
        values = _limit_integers(values, codes)
    if kind == "text":
        values = [str(value) if type(value) is int else value for value in values]
    elif kind == "decimal" and types & {str, Decimal}:
        values = [None if value is None else _decimal_text(value) for value in values]
    return _Typed(values, codes)


def _limit_integers(values: list[Any], codes: Codes) -> list[Any]:
    for row, value in enumerate(values):
        if type(value) is int and not MISSING < value <= -(MISSING + 1):
            codes[row] = _OUT_OF_RANGE
    return _without(values, codes)


def _without(values: list[Any], codes: Codes) -> list[Any]:
    """Drop the values that have a problem."""
    return [None if code else value for value, code in zip(values, codes, strict=True)]


def _decimal_text(value: float | Decimal | str) -> str:
    """Write a number without exponent."""
    return value if isinstance(value, str) else format(Decimal(str(value)), "f")
