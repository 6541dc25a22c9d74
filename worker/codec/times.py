"""Points in time: RFC 3339 and integer milliseconds, whole columns at once.

Owns the calendar and what counts as a plausible time. Knows no record and no clock.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from worker.codec.texts import pack
from worker.codec.verdict import Codes, code_table
from worker.records import MISSING, Reason

#: 2000-01-01 and 2100-01-01: an event time lies at or after the first, before the
#: second. Seconds, microseconds and nanoseconds of that span do not overlap with it.
FIRST_MS = 946_684_800_000
END_MS = 4_102_444_800_000

#: Milliseconds have three digits behind the second; further ones are cut off.
_FRACTION_UNITS = (100, 10, 1)

#: Days from 0000-03-01 to 1970-01-01, and days in 400 years.
_EPOCH = 719_468
_CYCLE = 146_097

_TEXT_CODES = code_table(None, Reason.BAD_TIME, Reason.TIME_WITHOUT_OFFSET)
_SPAN_CODES = code_table(None, Reason.OUT_OF_RANGE, Reason.TIME_UNIT)


def parse_times(texts: Sequence[str]) -> tuple[NDArray[np.int64], Codes | None]:
    """Read RFC 3339 texts strictly: `2018-07-25T00:00:31.250+02:00`.

    Lower-case `t` and `z`, a space for the `T`, and any number of digits behind the
    second are allowed; what is finer than a millisecond is cut off towards the past.
    A leap second has no place on a scale of milliseconds since 1970, so `:60` is
    refused, as are dates that the calendar does not have.

    Returns
    -------
    ms, codes
        (n,) milliseconds since 1970 UTC, `MISSING` where the code is not 0.
    """
    buffer, lengths = pack(texts)
    ms = np.empty(len(lengths), np.int64)
    status = np.empty(len(lengths), np.uint8)
    if _parse_all(buffer, lengths, ms, status):
        return ms, _TEXT_CODES[status]
    return ms, None


def check_span(ms: NDArray[np.int64], *, guess_unit: bool) -> Codes | None:
    """Refuse times outside 2000 to 2100; `MISSING` passes.

    With `guess_unit`, a number that lies inside when read as seconds, microseconds
    or nanoseconds gets a reason that says so.
    """
    outside = (ms < FIRST_MS) | (ms >= END_MS)
    if not np.count_nonzero(outside):
        return None
    status = (outside & (ms != MISSING)).astype(np.uint8)
    if guess_unit:
        for first, end in (
            (FIRST_MS // 1000, END_MS // 1000),
            (FIRST_MS * 1000, END_MS * 1000),
            (FIRST_MS * 1_000_000, END_MS * 1_000_000),
        ):
            status[(ms >= first) & (ms < end)] = 2
    codes: Codes = _SPAN_CODES[status]
    return codes


def format_times(ms: NDArray[np.int64]) -> list[str]:
    """Write times of the years 0 to 9999 as RFC 3339 in UTC.

    >>> format_times(np.array([1532476831000, 1532476831250]))
    ['2018-07-25T00:00:31Z', '2018-07-25T00:00:31.250Z']
    """
    if len(ms) == 0:
        return []
    buffer = np.empty(25 * len(ms), np.uint8)
    size = _format_all(ms, buffer)
    return buffer[: size - 1].tobytes().decode("ascii").split("\n")


@njit(cache=True)
def _parse_all(
    buffer: NDArray[np.uint8],
    lengths: NDArray[np.int64],
    ms: NDArray[np.int64],
    status: NDArray[np.uint8],
) -> bool:
    """Read each text; status 0: fine, 1: no time, 2: no offset. True if any is bad."""
    start = 0
    some_bad = False
    for row in range(len(lengths)):
        end = start + lengths[row]
        ms[row], status[row] = _parse_one(buffer, start, end)
        some_bad |= status[row] != 0
        start = end
    return some_bad


@njit(cache=True)
def _parse_one(buffer: NDArray[np.uint8], start: int, end: int) -> tuple[int, int]:
    if end - start < 19:
        return MISSING, 1
    day = parse_date(buffer, start)
    second = _parse_clock(buffer, start + 11)
    between = buffer[start + 10]
    if day == MISSING or second < 0 or not (between | 32 == 116 or between == 32):
        return MISSING, 1  # neither "T" nor "t" nor a space
    at, milli = start + 19, 0
    if at < end and buffer[at] == 46:  # "."
        at, milli = _parse_fraction(buffer, at + 1, end)
        if at < 0:
            return MISSING, 1
    if at == end:
        return MISSING, 2
    offset = _parse_offset(buffer, at, end)
    if offset == MISSING:
        return MISSING, 1
    return (day * 86_400 + second - offset) * 1000 + milli, 0


@njit(cache=True)
def parse_date(buffer: NDArray[np.uint8], at: int) -> int:
    """`YYYY-MM-DD` in days since 1970, or `MISSING`."""
    year, month = _number(buffer, at, 4), _number(buffer, at + 5, 2)
    day = _number(buffer, at + 8, 2)
    if year < 0 or month < 1 or month > 12 or day < 1:
        return MISSING
    if buffer[at + 4] != 45 or buffer[at + 7] != 45:  # "-"
        return MISSING
    first = _days_before(year, month)
    if day > 28 and day > _days_before(year, month + 1) - first:
        return MISSING
    return first + day - 1


@njit(cache=True)
def _parse_clock(buffer: NDArray[np.uint8], at: int) -> int:
    """`HH:MM:SS` in seconds, or -1."""
    hour, minute = _number(buffer, at, 2), _number(buffer, at + 3, 2)
    second = _number(buffer, at + 6, 2)
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return -1
    if buffer[at + 2] != 58 or buffer[at + 5] != 58:  # ":"
        return -1
    return hour * 3600 + minute * 60 + second


@njit(cache=True)
def _parse_fraction(buffer: NDArray[np.uint8], at: int, end: int) -> tuple[int, int]:
    """The place behind the digits (-1 where there are none), and milliseconds."""
    first, milli = at, 0
    while at < end and 48 <= buffer[at] <= 57:
        if at - first < 3:
            milli += _digit(buffer, at) * _FRACTION_UNITS[at - first]
        at += 1
    return (at, milli) if at > first else (-1, 0)


@njit(cache=True)
def _parse_offset(buffer: NDArray[np.uint8], at: int, end: int) -> int:
    """`Z`, `z`, `+HH:MM` or `-HH:MM` in seconds, or `MISSING`."""
    sign = buffer[at]
    if sign | 32 == 122 and at + 1 == end:  # "z"
        return 0
    if end - at != 6 or sign not in (43, 45) or buffer[at + 3] != 58:
        return MISSING
    hour, minute = _number(buffer, at + 1, 2), _number(buffer, at + 4, 2)
    if hour < 0 or hour > 23 or minute < 0 or minute > 59:
        return MISSING
    seconds = hour * 3600 + minute * 60
    return seconds if sign == 43 else -seconds


@njit(cache=True)
def _number(buffer: NDArray[np.uint8], at: int, count: int) -> int:
    """The value of that many digits, or -1."""
    value = 0
    for place in range(at, at + count):
        digit = _digit(buffer, place)
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@njit(cache=True)
def _digit(buffer: NDArray[np.uint8], at: int) -> int:
    """The value of a digit; below 0 or above 9 where there is none."""
    return int(np.int64(buffer[at])) - 48


@njit(cache=True)
def _days_before(year: int, month: int) -> int:
    """Days from 1970-01-01 to the first of a month; month 13 is the next January.

    Counted in years that begin in March, so that a leap day is the last of its year.
    """
    shifted = year * 12 + month - 3
    years, months = shifted // 12, shifted % 12
    leap_days = years // 4 - years // 100 + years // 400
    # 153 days in any five months from March, August or January on.
    return years * 365 + leap_days + (153 * months + 2) // 5 - _EPOCH


@njit(cache=True)
def _format_all(ms: NDArray[np.int64], buffer: NDArray[np.uint8]) -> int:
    """Write each time and a line feed; return the bytes written."""
    at = 0
    for row in range(len(ms)):
        day, milli = ms[row] // 86_400_000, ms[row] % 86_400_000
        second = milli // 1000
        milli -= second * 1000
        _write_date(buffer, at, day)
        _write_pair(buffer, at + 10, second // 3600, 84)  # "T"
        _write_pair(buffer, at + 13, second // 60 % 60, 58)  # ":"
        _write_pair(buffer, at + 16, second % 60, 58)
        at += 19
        if milli:
            _write_pair(buffer, at, milli // 10, 46)  # "."
            buffer[at + 3] = 48 + milli % 10
            at += 4
        buffer[at], buffer[at + 1] = 90, 10  # "Z", line feed
        at += 2
    return at


@njit(cache=True)
def _write_date(buffer: NDArray[np.uint8], at: int, day: int) -> None:
    """Write `YYYY-MM-DD` of a day since 1970: the reverse of `_days_before`."""
    day += _EPOCH
    cycle = day // _CYCLE
    day -= cycle * _CYCLE
    year = (day - day // 1_460 + day // 36_524 - day // (_CYCLE - 1)) // 365
    day -= year * 365 + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5
    year += cycle * 400 + (month >= 10)
    _write_pair(buffer, at + 1, year % 100, 48 + year // 100 % 10)
    buffer[at] = 48 + year // 1000
    _write_pair(buffer, at + 4, month + 3 if month < 10 else month - 9, 45)  # "-"
    _write_pair(buffer, at + 7, day + 1, 45)


@njit(cache=True)
def _write_pair(buffer: NDArray[np.uint8], at: int, value: int, before: int) -> None:
    """Write a character, then two digits."""
    buffer[at] = before
    buffer[at + 1] = 48 + value // 10
    buffer[at + 2] = 48 + value % 10
