"""Records between stages: each leaves at once, unless order asks for another one first.

What a worker reads of several partitions meets on the logs and topics that follow. A
commit that hands on days of a backlog becomes visible partition by partition, and is
fetched so: a stage that answered what there is would write days of one partition
before the first record of another, which then are late on the next log. So where what
waits lies further apart than a step, the broker is asked how far the logs go by now,
and what is not read up to there is waited for.

All that is waited for is on its way: it is written, by commits that may still be open,
to partitions that may still be restored here. Nobody waits for what is to be written.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from worker.loop.timed_queue import Release, TimedQueue
from worker.records import RecordBatch, TopicPartition
from worker.recovery import ENDED

#: Records of one partition that wait before it is paused, and before it goes on. What
#: one worker hands on at once is never as much: others may write while it waits.
CROWDED, SPARSE = 100_000, 50_000

#: After so long an answer is asked for anew, seconds: the log may have lost its end
#: with its broker.
ANSWER_SECONDS = 5.0

#: After a question without an answer, nobody is asked for so long, seconds.
SILENCE_SECONDS = 1.0

_LOG = logging.getLogger(__name__)


class Logs(Protocol):
    """How far the logs are read, and how far they go."""

    def positions(self) -> Mapping[TopicPartition, int]:
        """Return up to where partitions have been read; none that is not begun."""

    def written_until(
        self, places: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        """Ask where logs end, open commits included; without those of no answer."""


class _Answer(NamedTuple):
    """Where the logs ended when all that waited was no younger than a time."""

    ends: Mapping[TopicPartition, int]
    covered_ms: int
    asked_at: float


class Between:
    """The records of one topic between stages that wait, a queue for each partition.

    Parameters
    ----------
    clock
        Monotonic seconds.
    """

    def __init__(self, step_ms: int, logs: Logs, clock: Callable[[], float]):
        self._step_ms = step_ms
        self._logs = logs
        self._clock = clock
        self._queues: dict[TopicPartition, TimedQueue] = {}
        self._answer: _Answer | None = None
        self._silent_until = -math.inf
        # Up to when partitions have nothing more, by an answer that was reached.
        self._idle_until_ms: dict[TopicPartition, int] = {}

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    @property
    def waiting(self) -> dict[TopicPartition, int]:
        """How many records wait of each partition."""
        return {place: len(queue) for place, queue in self._queues.items()}

    def begin(self, place: TopicPartition, watermark_ms: int) -> None:
        """Take records of a partition from now on; it has been read up to that time."""
        self._queues[place] = TimedQueue(watermark_ms)
        self._answer = None

    def drop(self, place: TopicPartition) -> None:
        """Forget a partition that has moved on, and its records."""
        self._queues.pop(place, None)
        self._idle_until_ms.pop(place, None)

    def add(
        self, place: TopicPartition, records: RecordBatch, times_ms: NDArray[np.int64]
    ) -> None:
        """Put records behind those of the same partition."""
        self._queues[place].add(records, times_ms)

    def crowded(self) -> list[TopicPartition]:
        """Return the partitions of which enough waits."""
        return [place for place, queue in self._queues.items() if len(queue) > CROWDED]

    def sparse(self, places: Collection[TopicPartition]) -> list[TopicPartition]:
        """Return those of the partitions that may go on: little of them waits."""
        return [
            place
            for place, queue in self._queues.items()
            if place in places and len(queue) < SPARSE
        ]

    def take(self, room: int) -> dict[TopicPartition, TimedQueue]:
        """Let records leave that may; return the queues of which some do."""
        if room and self._is_wide():
            self._release(room)
        else:
            for queue in self._queues.values():
                room -= queue.mark(ENDED, room)
        return {p: queue for p, queue in self._queues.items() if queue.has_marked}

    def _is_wide(self) -> bool:
        """Whether what waits lies more than a step ahead of where some partition is."""
        if not any(self._queues.values()):
            return False
        first_ms = min(
            queue.head_ms if len(queue) else self._reached_ms(place)
            for place, queue in self._queues.items()
        )
        return self._latest_ms > first_ms + self._step_ms

    def _reached_ms(self, place: TopicPartition) -> int:
        """Return up to when a partition of which nothing waits has nothing more."""
        until_ms = self._queues[place].until_ms
        return max(until_ms, self._idle_until_ms.get(place, until_ms))

    @property
    def _latest_ms(self) -> int:
        return max(queue.tail_ms for queue in self._queues.values() if len(queue))

    def _release(self, room: int) -> None:
        """Let leave what an answer covers, and what it waits for has been read.

        What came since is not covered. Were it asked for at once, others who go on
        writing could keep the first record waiting for ever.
        """
        answer = self._answer
        if answer is None or self._is_done(answer) or self._is_old(answer):
            self._answer = answer = self._ask()
        queues = self._queues
        if answer is None:
            covered_ms, unread = ENDED, set(queues)
        else:
            covered_ms, unread = answer.covered_ms, self._unread(answer)
        if not unread:
            self._idle_until_ms.update(dict.fromkeys(queues, covered_ms))
        waited_for = {queues[place] for place in unread}
        release = Release(list(queues.values()), waited_for, self._step_ms)
        release.mark(room, covered_ms)

    def _is_done(self, answer: _Answer) -> bool:
        """Whether all has left that the answer was asked for."""
        first_ms = min(q.head_ms for q in self._queues.values() if len(q))
        return first_ms > answer.covered_ms and not self._unread(answer)

    def _is_old(self, answer: _Answer) -> bool:
        """Whether it was not reached in time; tell by whom."""
        if self._clock() - answer.asked_at < ANSWER_SECONDS:
            return False
        for place in sorted(self._unread(answer)):
            _LOG.info(
                "waits_for_partition",
                extra={
                    "partition": f"{place.topic}/{place.partition}",
                    "position": self._logs.positions().get(place),
                    "end": answer.ends.get(place),
                },
            )
        return True

    def _ask(self) -> _Answer | None:
        """Ask how far the logs go; None without any answer, which may take a second."""
        now = self._clock()
        if now < self._silent_until:
            return None
        ends = self._logs.written_until(list(self._queues))
        if not ends:
            self._silent_until = self._clock() + SILENCE_SECONDS
            return None
        return _Answer(ends, self._latest_ms, now)

    def _unread(self, answer: _Answer) -> set[TopicPartition]:
        """Return the partitions that have not been read as far as they were written."""
        positions, ends = self._logs.positions(), answer.ends
        return {
            place
            for place in self._queues
            if positions.get(place, 0) < ends.get(place, ENDED)
        }
