"""Since when records of a partition may have been waiting, whatever the broker says.

Pure. What is told are moments: ages go on growing while nobody tells anything.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from worker.records import TopicPartition


@dataclass(slots=True)
class _Times:
    """Seconds since 1970: when it was assigned, and up to when all was answered."""

    assigned_at: float
    done_until: float | None = None


class LagClock:
    """The partitions in this worker's care, and up to when each has been answered."""

    def __init__(self) -> None:
        self._of: dict[TopicPartition, _Times] = {}

    def begin(self, places: Collection[TopicPartition], now: float) -> None:
        """Start anew with partitions that came; those that went are not asked for."""
        self._of.update({place: _Times(now) for place in places})

    def answered(self, place: TopicPartition, timestamp_ms: int, now: float) -> None:
        """Note the newest record that was answered; its timestamp may be wrong.

        A clock ahead of ours must not hide a lag, hence the present as a limit.
        """
        if timestamp_ms >= 0:
            self._note(place, min(timestamp_ms / 1000, now))

    def measured(
        self, place: TopicPartition, messages: int, told_at: float | None
    ) -> tuple[float, float]:
        """Return since when records may wait, and as of when the end is known.

        Parameters
        ----------
        messages
            How many wait, by what is known.
        told_at
            When the broker was last asked for the end; None before it has answered. It
            has answered when it assigned the partition.
        """
        times = self._of[place]
        as_of = times.assigned_at if told_at is None else told_at
        if not messages:
            self._note(place, as_of)
        since = times.assigned_at if times.done_until is None else times.done_until
        return since, as_of

    def _note(self, place: TopicPartition, done_until: float) -> None:
        times = self._of[place]
        times.done_until = max(done_until, times.done_until or done_until)
