"""Parts of the local time of events, for whole columns."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from worker.features.declarations import CalendarPart
from worker.records import MISSING

Ints = NDArray[np.int64]

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000

#: Offsets of time zones have changed only at whole multiples of this since 1975.
_BLOCK_MS = 900_000

#: 1970-01-01 was a Thursday.
_EPOCH_WEEKDAY = 3
_SATURDAY = 5
_LAST_NIGHT_HOUR = 6


class LocalClock:
    """Turns instants into local time; remembers the offset of each quarter hour."""

    def __init__(self, time_zone: str) -> None:
        self._zone = ZoneInfo(time_zone)
        self._is_utc = time_zone == "UTC"
        self._offsets_ms: dict[int, int] = {}

    def local_ms(self, times_ms: Ints) -> Ints:
        """Return milliseconds since 1970-01-01 00:00 of the local calendar."""
        if self._is_utc:
            return times_ms
        blocks, places = np.unique(times_ms // _BLOCK_MS, return_inverse=True)
        offsets = np.array([self._offset_ms(b) for b in blocks.tolist()], np.int64)
        return times_ms + offsets[places]

    def _offset_ms(self, block: int) -> int:
        offset_ms = self._offsets_ms.get(block)
        if offset_ms is None:
            moment = datetime.fromtimestamp(block * _BLOCK_MS / 1000, UTC)
            offset = moment.astimezone(self._zone).utcoffset()
            assert offset is not None
            offset_ms = int(offset.total_seconds() * 1000)
            self._offsets_ms[block] = offset_ms
        return offset_ms


def calendar_part(local_ms: Ints, part: CalendarPart) -> NDArray[np.float64]:
    """Return a part of local times as (n,) float64."""
    if part is CalendarPart.HOUR:
        value = _hour(local_ms)
    elif part is CalendarPart.NIGHT:
        value = (_hour(local_ms) <= _LAST_NIGHT_HOUR).astype(np.int64)
    elif part is CalendarPart.WEEKDAY:
        value = _weekday(local_ms)
    elif part is CalendarPart.WEEKEND:
        value = (_weekday(local_ms) >= _SATURDAY).astype(np.int64)
    else:
        month, day = _month_and_day(local_ms.astype("datetime64[ms]"))
        value = month % 12 + 1 if part is CalendarPart.MONTH else day + 1
    return np.asarray(value, np.float64)


def completed_years(born: Ints, local_ms: Ints) -> NDArray[np.float64]:
    """Return the years from dates, in days since 1970, to local times: (n,) float64.

    NaN where there is no date, and where it lies ahead. Who was born on 29 February
    grows older on 1 March where there is no such day.
    """
    born_month, born_day = _month_and_day(born.astype("datetime64[D]"))
    month, day = _month_and_day(local_ms.astype("datetime64[ms]"))
    years = (month - born_month - (day < born_day)) // 12
    return np.where((born == MISSING) | (years < 0), np.nan, years)


def _month_and_day(dates: NDArray[np.datetime64]) -> tuple[Ints, Ints]:
    """Return months since January 1970, and days of the month from 0."""
    months = dates.astype("datetime64[M]")
    days = dates.astype("datetime64[D]") - months.astype("datetime64[D]")
    return months.astype(np.int64), days.astype(np.int64)


def _hour(local_ms: Ints) -> Ints:
    return local_ms // _HOUR_MS % 24


def _weekday(local_ms: Ints) -> Ints:
    return (local_ms // _DAY_MS + _EPOCH_WEEKDAY) % 7
