"""A partition on its way from a snapshot into memory, a few keys between two polls.

    asked --(a snapshot begins)--> filling --(whole)--> filled
      |            ^                  |
      |            +--(an older one)--+
      +--(none is usable)---------------------------> without

Meanwhile nothing of it is read: the client learns where to start once that is known.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from worker.features import FeatureState, StateSlice
from worker.pipeline import PartitionState
from worker.records import LogBounds, NextOffset, TopicPartition
from worker.snapshots import Read, ReadEnd, ReadItem, SoundSnapshot

_LOG = logging.getLogger(__name__)

#: Time from one log line about a restore to the next, seconds.
TELL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What the broker said when a partition was assigned; as for `plan_start`."""

    place: TopicPartition
    epoch: int
    committed: NextOffset | None
    bounds: LogBounds
    first_needed: int | None


class Progress(NamedTuple):
    """How much of the snapshot is in memory, and how many offsets come after it."""

    loaded_ratio: float
    offsets_left: int


@dataclass(slots=True)
class Restore:
    """How one partition's way to its first answer goes.

    Attributes
    ----------
    since
        When the partition was assigned, seconds of the loop's clock.
    told
        When the log last spoke of it.
    replayed
        Records folded in silence so far.
    """

    since: float
    told: float
    replayed: int = 0

    def is_to_be_told(self, now: float) -> bool:
        """Whether the log should speak of it again, which it then has."""
        is_time = now - self.told >= TELL_SECONDS
        if is_time:
            self.told = now
        return is_time

    def facts(self, partition: PartitionState, seconds: float) -> dict[str, object]:
        """Return what there is to be told at the end."""
        return {
            **name_of(partition.place),
            "offset": partition.live_from,
            "seconds": round(seconds, 3),
            "keys": partition.state.key_count,
            "events": partition.state.event_count,
            "replayed": self.replayed,
        }


class Loading:
    """One partition being filled.

    Attributes
    ----------
    asked
        What its plan will be made of.
    state
        Filled when it has ended with a snapshot; empty otherwise.
    snapshot
        The one that fills it; None before the first, and where none was usable.
    """

    def __init__(
        self,
        asked: Asked,
        read: Read,
        *,
        new_state: Callable[[TopicPartition], FeatureState],
        clock: Callable[[], float],
    ):
        self.asked = asked
        self.state = new_state(asked.place)
        self.snapshot: SoundSnapshot | None = None
        self._read = read
        self._new_state = new_state
        self._clock = clock
        self._began = clock()
        self._events_taken = 0

    @property
    def progress(self) -> Progress:
        """How far it is, as far as that is known."""
        committed, snapshot = self.asked.committed, self.snapshot
        end = 0 if committed is None else committed.offset
        if snapshot is None:
            return Progress(0.0, max(0, end - self.asked.bounds.start))
        loaded = self._events_taken / max(1, snapshot.event_count)
        return Progress(loaded, max(0, end - snapshot.header.next_offset))

    def go_on(self, until: float) -> bool:
        """Take in what is there, until that time; True once it has ended.

        Raises
        ------
        StateUnusable
            The snapshot holds more keys than a limit allows.
        """
        while (item := self._read.take()) is not None:
            if isinstance(item, ReadEnd):
                self._end(item)
                return True
            self._take_in(item)
            if self._clock() >= until:
                break
        return False

    def abandon(self) -> None:
        """Let the reader go: the partition has moved on."""
        self._read.abandon()

    def _take_in(self, item: ReadItem) -> None:
        if isinstance(item, StateSlice):
            self.state.take_in(item)
            self._events_taken += len(item.events)
        elif isinstance(item, SoundSnapshot):
            self._start_over(item)
            if item.header.watermark_ms is not None:
                self.state.start_at(item.header.watermark_ms)
            self.state.reserve(item.key_count, item.event_count)

    def _start_over(self, snapshot: SoundSnapshot | None) -> None:
        self.snapshot = snapshot
        self.state = self._new_state(self.asked.place)
        self._events_taken = 0

    def _end(self, how: ReadEnd) -> None:
        if how is ReadEnd.NONE or self.snapshot is None:
            self._start_over(None)
            return
        _LOG.info(
            "snapshot_loaded",
            extra={
                **name_of(self.asked.place),
                "offset": self.snapshot.header.next_offset,
                "keys": self.state.key_count,
                "events": self.state.event_count,
                "seconds": round(self._clock() - self._began, 3),
            },
        )


def name_of(place: TopicPartition) -> dict[str, object]:
    """Return a partition as the log names it."""
    return {"topic": place.topic, "partition": place.partition}
