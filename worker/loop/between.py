"""Records between stages: each leaves at once, unless order asks for another one first.

What a worker reads of several partitions meets on the logs and topics that follow. A
commit that hands on days of a backlog becomes visible partition by partition, and is
fetched so: a stage that answered what there is would write days of one partition
before the first record of another, which then are late on the next log. So where what
waits lies further apart than a step, the broker is asked how far the logs go by now,
and what is not read up to there is waited for.

All that is waited for has been written already, so nobody waits for anybody's answer,
and neither does a worker that keeps up: its records are younger than a step.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.loop.timed_queue import Release, TimedQueue
from worker.records import RecordBatch, TopicPartition
from worker.recovery import ENDED


class Logs(Protocol):
    """How far the logs are read, and how far they go."""

    def positions(self) -> Mapping[TopicPartition, int]:
        """Return up to where partitions have been read; none that is not begun."""

    def written_until(
        self, places: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int] | None:
        """Ask where logs end, open commits included; None if nobody answers at once."""


class Between:
    """The records of one topic between stages that wait, a queue for each partition.

    Parameters
    ----------
    ignored
        Partitions that stand still, and may do so for ever.
    """

    def __init__(
        self,
        step_ms: int,
        logs: Logs,
        ignored: Collection[TopicPartition],
    ):
        self._step_ms = step_ms
        self._logs = logs
        self._ignored = ignored
        self._queues: dict[TopicPartition, TimedQueue] = {}
        self._ends: dict[TopicPartition, int] = {}
        # Up to when partitions are known to have nothing, by what was last asked.
        self._idle_until_ms: dict[TopicPartition, int] = {}

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def begin(self, place: TopicPartition, watermark_ms: int) -> None:
        """Take records of a partition from now on; it has been read up to that time."""
        self._queues[place] = TimedQueue(watermark_ms)
        self._ends.clear()

    def drop(self, place: TopicPartition) -> None:
        """Forget a partition that has moved on, and its records."""
        self._queues.pop(place, None)
        self._ends.pop(place, None)
        self._idle_until_ms.pop(place, None)

    def add(
        self, place: TopicPartition, records: RecordBatch, times_ms: NDArray[np.int64]
    ) -> None:
        """Put records behind those of the same partition."""
        self._queues[place].add(records, times_ms)

    def take(self, room: int) -> dict[TopicPartition, TimedQueue]:
        """Let records leave that may; return the queues of which some do."""
        queues = list(self._queues.values())
        if self._is_wide():
            Release(queues, self._waited_for(), self._step_ms).mark(room, ENDED)
        else:
            for queue in queues:
                room -= queue.mark(ENDED, room)
        return {p: queue for p, queue in self._queues.items() if queue.has_marked}

    def _is_wide(self) -> bool:
        """Whether what waits lies more than a step ahead of where some partition is."""
        if not any(self._queues.values()):
            return False
        heads = (
            queue.head_ms if len(queue) else self._reached_ms(place)
            for place, queue in self._queues.items()
            if place not in self._ignored
        )
        latest_ms = self._latest_ms
        return latest_ms > min(heads, default=latest_ms) + self._step_ms

    def _reached_ms(self, place: TopicPartition) -> int:
        """Return up to when a partition of which nothing waits has nothing more."""
        until_ms = self._queues[place].until_ms
        return max(until_ms, self._idle_until_ms.get(place, until_ms))

    @property
    def _latest_ms(self) -> int:
        return max(queue.tail_ms for queue in self._queues.values() if len(queue))

    def _waited_for(self) -> list[TimedQueue]:
        """Return the queues of partitions of which more is written than was read."""
        unread = self._unread()
        if not unread:
            ends = self._logs.written_until(list(self._queues))
            if ends is None:
                return list(self._queues.values())
            self._ends = dict(ends)
            unread = self._unread()
        read = self._queues.keys() - unread
        self._idle_until_ms.update(dict.fromkeys(read, self._latest_ms))
        return [self._queues[place] for place in unread]

    def _unread(self) -> set[TopicPartition]:
        """Return the partitions that have not been read as far as they were written."""
        positions = self._logs.positions()
        return {
            place
            for place, end in self._ends.items()
            if positions.get(place, 0) < end and place not in self._ignored
        }
