"""Records of one partition that wait, with their times, and how those of many leave."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.records import RecordBatch

_Ints = NDArray[np.int64]


class TimedQueue:
    """The records of one partition that wait, and how far it is.

    Attributes
    ----------
    until_ms
        Largest time of a record that has left, or is known to have been answered.
    """

    def __init__(self, until_ms: int):
        self.until_ms = until_ms
        self._records = RecordBatch()
        self._times_ms = np.zeros(0, np.int64)
        # Rows [first, marked) may leave; those before have left, and go in bulk.
        self._first = self._marked = 0

    def __len__(self) -> int:
        return len(self._times_ms) - self._marked

    @property
    def head_ms(self) -> int:
        """The time of the first record that waits; at least one does."""
        return self._times_ms.item(self._marked)

    @property
    def tail_ms(self) -> int:
        """The greatest time of those that wait; at least one does."""
        return self._times_ms.item(-1)

    def add(self, records: RecordBatch, times_ms: _Ints) -> None:
        """Put records behind those that wait; a late one counts as the one before.

        They belong to the queue from now on.
        """
        if not len(self._times_ms):
            # As nearly always: what came before has been taken.
            rising = np.maximum.accumulate(np.maximum(times_ms, self.until_ms))
            self._records, self._times_ms = records, rising
            return
        self._forget_taken()
        rising = np.maximum.accumulate(np.maximum(times_ms, self.tail_ms))
        self._times_ms = np.concatenate((self._times_ms, rising))
        self._records.extend(records)

    @property
    def has_marked(self) -> bool:
        """Whether records may leave."""
        return self._marked > self._first

    def mark(self, until_ms: int, room: int) -> int:
        """Let records up to that time leave; return how many they are."""
        end = len(self._times_ms)
        if self._marked < end and until_ms < self.tail_ms:
            end = int(np.searchsorted(self._times_ms, until_ms, "right"))
        # What has left may be younger, if a partition has come since.
        end = max(self._marked, min(end, self._marked + room))
        count, self._marked = end - self._marked, end
        if count:
            self.until_ms = self._times_ms.item(end - 1)
        return count

    def take(self) -> tuple[RecordBatch, _Ints]:
        """Return the records that may leave, with their times."""
        records, times_ms, first = self._records, self._times_ms, self._first
        rows = slice(first, self._marked)
        self._first = self._marked
        if self._marked == len(times_ms):
            self._records, self._times_ms = RecordBatch(), np.zeros(0, np.int64)
            self._first = self._marked = 0
            if not first:
                return records, times_ms
        return records.cut(rows), times_ms[rows]

    def _forget_taken(self) -> None:
        """Free what has left once it is the larger part: each record moves once."""
        first = self._first
        if 2 * first >= len(self._times_ms):
            self._records = self._records.cut(slice(first, None))
            self._times_ms = self._times_ms[first:]
            self._first, self._marked = 0, self._marked - first


class Release(NamedTuple):
    """What is let out together.

    Attributes
    ----------
    queues
        In a step, records of the first leave first.
    waited_for
        Those of the queues that hold the others up when they are empty.
    """

    queues: Sequence[TimedQueue]
    waited_for: Collection[TimedQueue]
    step_ms: int

    def mark(self, room: int, until_ms: int) -> bool:
        """Let records leave step by step, as long as something may, and there is room.

        A step begins at the oldest head: the queue that it belongs to is never stuck.
        Return whether something younger than `until_ms` would have left but for that.
        """
        while room and any(map(len, self.queues)):
            first_ms = min(
                queue.head_ms if len(queue) else queue.until_ms
                for queue in self.queues
                if len(queue) or queue in self.waited_for
            )
            if first_ms > until_ms:
                return True
            last_ms = min(first_ms + self.step_ms, until_ms)
            marked = 0
            for queue in self.queues:
                marked += queue.mark(last_ms, room - marked)
            if not marked:
                break
            room -= marked
        return False
