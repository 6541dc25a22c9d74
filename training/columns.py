"""Columns of a file in the forms that the worker's codec reads.

Owns what a file may write differently from a stream: texts for numbers, times without
offset, and decimals that went through floating point. Knows no ranges.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from worker.records import Field

RawColumn = list[Any] | NDArray[Any]
Texts = list[str | None]

_INTEGER = re.compile(r"-?\d{1,19}")
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_WITHOUT_OFFSET = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?")

#: A decimal that came out of two or three operations is off by no more than that many
#: units in the last place.
_NOISE_ULPS = 4


def raw_column(
    column: pa.ChunkedArray, declared: Field, notices: list[str]
) -> RawColumn:
    """Return the values of a column for a field; what was assumed joins the notices.

    A value that is none of the field's type stays what it is: the codec then rejects
    that row, and only that one.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if declared.type == "date" and pa.types.is_temporal(kind):
        days: NDArray[Any] = column.to_numpy()
        return days
    if pa.types.is_timestamp(kind):
        return _times(column, declared, notices)
    if _is_text(kind):
        return _from_texts(column.to_pylist(), declared, notices)
    if column.null_count or not _is_number(kind):
        return list(column.to_pylist())
    values: NDArray[Any] = column.to_numpy()
    if declared.type == "decimal" and values.dtype == np.float64:
        return _without_noise(values, declared, notices)
    return values


def _is_text(kind: pa.DataType) -> bool:
    is_small = pa.types.is_string(kind) or pa.types.is_string_view(kind)
    return bool(is_small or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _times(column: pa.ChunkedArray, declared: Field, notices: list[str]) -> RawColumn:
    if column.type.tz is None:
        notices.append(_utc_notice(declared))
    ticks: NDArray[Any] = column.cast(pa.timestamp(column.type.unit)).to_numpy()
    return ticks


def _utc_notice(declared: Field) -> str:
    return f"{declared.name}: times without offset are read as UTC"


def _without_noise(
    values: NDArray[np.float64], declared: Field, notices: list[str]
) -> NDArray[np.float64]:
    """Undo what arithmetic did to decimals: 61.75 for 61.74999999999999."""
    nearest = np.round(values, declared.decimals)
    distance = np.abs(values - nearest)
    noisy = (distance > 0) & (distance <= _NOISE_ULPS * np.spacing(np.abs(values)))
    if noisy.any():
        notices.append(
            f"{declared.name}: {int(noisy.sum()):,} values differ from "
            f"{declared.decimals} decimals by floating-point noise: rounded"
        )
    return np.where(noisy, nearest, values)


def _from_texts(texts: Texts, declared: Field, notices: list[str]) -> RawColumn:
    """Read texts by the field's type."""
    is_minor = declared.type == "decimal" and declared.encoding == "minor"
    if declared.type == "integer" or is_minor:
        return _integers(texts)
    if declared.type == "boolean":
        return [_BOOLEANS.get(text.lower(), text) if text else text for text in texts]
    if declared.type == "time":
        return _time_texts(texts, declared, notices)
    if declared.type == "decimal" and declared.encoding == "number":
        return _decimal_texts(texts, declared, notices)
    return list(texts)


def _integers(texts: Texts) -> RawColumn:
    return [int(text) if text and _INTEGER.fullmatch(text) else text for text in texts]


def _time_texts(texts: Texts, declared: Field, notices: list[str]) -> RawColumn:
    first = next((text for text in texts if text), "")
    if _INTEGER.fullmatch(first):
        return _integers(texts)
    naive = [row for row, text in enumerate(texts) if text and _is_naive(text)]
    read = list(texts)
    for row in naive:
        read[row] = f"{texts[row]}Z"
    if naive:
        notices.append(_utc_notice(declared))
    return read


def _is_naive(text: str) -> bool:
    # Most times end in Z, which is cheaper to see than a pattern.
    return not text.endswith("Z") and _WITHOUT_OFFSET.fullmatch(text) is not None


def _decimal_texts(texts: Texts, declared: Field, notices: list[str]) -> RawColumn:
    """Undo the noise where it was written out, and leave all else alone."""
    long = re.compile(rf"-?\d+\.\d{{{max(declared.decimals, 9) + 1},}}")
    rows = [row for row, text in enumerate(texts) if text and long.fullmatch(text)]
    values = np.array([float(texts[row] or "nan") for row in rows], np.float64)
    read = list(texts)
    for row, value in zip(
        rows, _without_noise(values, declared, notices).tolist(), strict=True
    ):
        shortest = repr(value)
        read[row] = shortest if "e" not in shortest else texts[row]
    return read
