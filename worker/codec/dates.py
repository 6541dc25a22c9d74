"""Days of the calendar: RFC 3339 dates, whole columns at once.

A date of birth has no time and no offset, so it is no point in time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from worker.codec.texts import pack
from worker.codec.times import parse_date
from worker.codec.verdict import Codes, code_table
from worker.records import MISSING, Reason

_CODES = code_table(None, Reason.BAD_TIME)

_LENGTH = len("2018-07-25")


def parse_dates(texts: Sequence[str]) -> tuple[NDArray[np.int64], Codes | None]:
    """Read dates such as `1985-03-07` strictly.

    Returns
    -------
    days, codes
        (n,) days since 1970-01-01, `MISSING` where the code is not 0.
    """
    buffer, lengths = pack(texts)
    days = np.empty(len(lengths), np.int64)
    _parse_all(buffer, lengths, days)
    is_bad = days == MISSING
    return days, _CODES[is_bad.astype(np.uint8)] if is_bad.any() else None


def format_dates(days: NDArray[np.int64]) -> list[str]:
    """Write days of the years 0 to 9999.

    >>> format_dates(np.array([0, 5544]))
    ['1970-01-01', '1985-03-07']
    """
    texts: list[str] = np.datetime_as_string(days.astype("datetime64[D]")).tolist()
    return texts


@njit(cache=True)
def _parse_all(
    buffer: NDArray[np.uint8], lengths: NDArray[np.int64], days: NDArray[np.int64]
) -> None:
    start = 0
    for row in range(len(lengths)):
        is_whole = lengths[row] == _LENGTH
        days[row] = parse_date(buffer, start) if is_whole else MISSING
        start += lengths[row]
