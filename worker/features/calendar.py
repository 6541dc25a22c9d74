"""Parts of the local time of events, for whole columns."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from worker.features.declarations import CalendarPart

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
        dates = local_ms.astype("datetime64[ms]")
        months = dates.astype("datetime64[M]")
        if part is CalendarPart.MONTH:
            value = months.astype(np.int64) % 12 + 1
        else:
            days = dates.astype("datetime64[D]") - months.astype("datetime64[D]")
            value = days.astype(np.int64) + 1
    return np.asarray(value, np.float64)


def _hour(local_ms: Ints) -> Ints:
    return local_ms // _HOUR_MS % 24


def _weekday(local_ms: Ints) -> Ints:
    return (local_ms // _DAY_MS + _EPOCH_WEEKDAY) % 7
