"""Parts of the local time of events, for whole columns."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from worker.features.declarations import CalendarPart
from worker.features.kernel import kernel
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

#: What the time of day and the day of the week tell; what else there is, the date does.
_CLOCK = (
    CalendarPart.HOUR,
    CalendarPart.NIGHT,
    CalendarPart.WEEKDAY,
    CalendarPart.WEEKEND,
)
_HOUR, _NIGHT, _WEEKDAY = range(3)


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


class CalendarColumns:
    """Writes parts of local times, each into its column."""

    def __init__(self, features: Iterable[tuple[int, CalendarPart]]) -> None:
        found = list(features)
        clock = [(place, _CLOCK.index(part)) for place, part in found if part in _CLOCK]
        self._clock = np.array(clock, np.int64).reshape(-1, 2)
        self._dates = [(place, part) for place, part in found if part not in _CLOCK]

    def fill(self, local_ms: Ints, rows: NDArray[np.float64]) -> None:
        """Fill the columns of (n, n_declared) rows."""
        if len(self._clock):
            _fill_clock(local_ms, self._clock, rows)
        if self._dates:
            month, day = _month_and_day(local_ms.astype("datetime64[ms]"))
            for place, part in self._dates:
                is_month = part is CalendarPart.MONTH
                rows[:, place] = month % 12 + 1 if is_month else day + 1


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


@kernel
def _fill_clock(local_ms: Ints, clock: Ints, rows: NDArray[np.float64]) -> None:
    """Fill columns; clock : (k, 2), the place of each and its part in `_CLOCK`."""
    for i in range(len(local_ms)):
        hour = local_ms[i] // _HOUR_MS % 24
        weekday = (local_ms[i] // _DAY_MS + _EPOCH_WEEKDAY) % 7
        for j in range(len(clock)):
            place, part = clock[j, 0], clock[j, 1]
            if part == _HOUR:
                rows[i, place] = hour
            elif part == _NIGHT:
                rows[i, place] = hour <= _LAST_NIGHT_HOUR
            elif part == _WEEKDAY:
                rows[i, place] = weekday
            else:
                rows[i, place] = weekday >= _SATURDAY
