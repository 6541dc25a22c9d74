"""Decimals as integers of their smallest unit, whole columns at once.

Owns what "no more decimals than declared" means. Knows no record.
"""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from worker.codec.texts import pack
from worker.codec.verdict import Codes, code_table
from worker.records import MAX_MAGNITUDE, MISSING, Field, Reason

#: Larger than any bound, and a tenth digit more still fits 64 bits.
_BEYOND_BOUNDS = 10**17

_CODES = code_table(
    None, Reason.OUT_OF_RANGE, Reason.TOO_MANY_DECIMALS, Reason.WRONG_TYPE
)


class Bounds(NamedTuple):
    """The least and the greatest integer that a field may hold, both allowed."""

    low: int
    high: int


def bounds_of(field: Field) -> Bounds:
    """Return the declared range in the smallest unit, within `MAX_MAGNITUDE`.

    >>> bounds_of(Field("amount", "decimal", decimals=2, minimum=0.1, maximum=9.999))
    Bounds(low=10, high=999)
    """
    low, high = -MAX_MAGNITUDE, MAX_MAGNITUDE
    if field.minimum is not None:
        low = max(low, _scaled(field.minimum, field.decimals, decimal.ROUND_CEILING))
    if field.maximum is not None:
        high = min(high, _scaled(field.maximum, field.decimals, decimal.ROUND_FLOOR))
    return Bounds(low, high)


def _scaled(bound: float, decimals: int, rounding: str) -> int:
    # By its shortest text: 0.1 means a tenth, not the binary number next to it.
    scaled = decimal.Decimal(repr(bound)).scaleb(decimals)
    return int(scaled.to_integral_value(rounding))


def scale_numbers(
    values: NDArray[np.float64], field: Field, bounds: Bounds
) -> tuple[NDArray[np.int64], Codes | None]:
    """Hold numbers as integers of 10**-decimals.

    A number is accepted when it is the binary64 number nearest to a decimal of that
    many digits, which is what a parser makes of such a text. NaN stands for none.

    Returns
    -------
    units, codes
        (n,) integers, `MISSING` for NaN and where the code is not 0.
    """
    units = np.empty(len(values), np.int64)
    status = np.empty(len(values), np.uint8)
    if _scale_all(values, 10.0**field.decimals, *bounds, units, status):
        return units, _CODES[status]
    return units, None


def parse_decimals(
    texts: Sequence[str], field: Field, bounds: Bounds
) -> tuple[NDArray[np.int64], Codes | None]:
    """Read texts such as `-1234.50` as integers of 10**-decimals.

    No exponent, no plus sign, no leading zeros; zeros behind the last declared digit
    are harmless.

    Returns
    -------
    units, codes
        (n,) integers, `MISSING` where the code is not 0.
    """
    buffer, lengths = pack(texts)
    units = np.empty(len(lengths), np.int64)
    status = np.empty(len(lengths), np.uint8)
    if _parse_all(buffer, lengths, field.decimals, *bounds, (units, status)):
        return units, _CODES[status]
    return units, None


def check_bounds(values: NDArray[np.int64], bounds: Bounds) -> Codes | None:
    """Refuse integers outside the bounds; `MISSING` passes."""
    outside = ((values < bounds.low) | (values > bounds.high)) & (values != MISSING)
    return _CODES[outside.astype(np.uint8)] if outside.any() else None


@njit(cache=True)
def _scale_all(
    values: NDArray[np.float64],
    scale: float,
    low: int,
    high: int,
    units: NDArray[np.int64],
    status: NDArray[np.uint8],
) -> bool:
    """Status 0: fine, 1: out of range, 2: too many decimals. True if any is bad."""
    some_bad = False
    for row in range(len(values)):
        value = values[row]
        nearest = np.rint(value * scale)
        units[row], status[row] = MISSING, 0
        if np.isnan(value):
            continue
        if not low <= nearest <= high:
            status[row] = 1
        elif nearest / scale != value:
            status[row] = 2
        else:
            units[row] = np.int64(nearest)
        some_bad |= status[row] != 0
    return some_bad


@njit(cache=True)
def _parse_all(
    buffer: NDArray[np.uint8],
    lengths: NDArray[np.int64],
    decimals: int,
    low: int,
    high: int,
    result: tuple[NDArray[np.int64], NDArray[np.uint8]],
) -> bool:
    """Status as in `_scale_all`, and 3: no decimal. True if any is bad."""
    units, status = result
    start = 0
    some_bad = False
    for row in range(len(lengths)):
        end = start + lengths[row]
        units[row], status[row] = MISSING, 3
        point = _find_point(buffer, start, end)
        if point >= 0:
            value, is_exact = _read_units(buffer, start, point, end, decimals)
            in_range = low <= value <= high
            status[row] = 0 if in_range and is_exact else 2 if in_range else 1
            if status[row] == 0:
                units[row] = value
        some_bad |= status[row] != 0
        start = end
    return some_bad


@njit(cache=True)
def _find_point(buffer: NDArray[np.uint8], start: int, end: int) -> int:
    """The place of the point (the end, if there is none); -1: not a decimal."""
    whole = start + 1 if start < end and buffer[start] == 45 else start  # "-"
    point = _skip_digits(buffer, whole, end)
    if point == whole or (buffer[whole] == 48 and point - whole > 1):
        return -1
    if point == end:
        return point
    if buffer[point] != 46 or point + 1 == end:  # "."
        return -1
    return point if _skip_digits(buffer, point + 1, end) == end else -1


@njit(cache=True)
def _skip_digits(buffer: NDArray[np.uint8], at: int, end: int) -> int:
    while at < end and 48 <= buffer[at] <= 57:
        at += 1
    return at


@njit(cache=True)
def _read_units(
    buffer: NDArray[np.uint8], start: int, point: int, end: int, decimals: int
) -> tuple[int, bool]:
    """The value without its excess digits, and whether these are all zero."""
    sign, at = (-1, start + 1) if buffer[start] == 45 else (1, start)
    value = 0
    last = point + 1 + decimals
    while at < last:
        if at != point and value < _BEYOND_BOUNDS:
            digit = int(np.int64(buffer[at])) - 48 if at < end else 0
            value = value * 10 + digit
        at += 1
    is_exact = True
    for place in range(last, end):
        is_exact &= buffer[place] == 48
    return sign * value, is_exact
