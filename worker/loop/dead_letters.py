"""When so many records are rejected that a partition had better stand still.

One bad release upstream must not drain a topic into the dead letters while nobody
looks; a single broken record must not stop anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from worker.loop.limits import DeadLetterLimit
from worker.pipeline import BatchResult, PartitionResult
from worker.records import TopicPartition

#: Records over which the share of dead letters is taken, at least: fewer say nothing.
WINDOW_RECORDS = 1000


class DeadLetterCounts:
    """How each partition stands towards the limit."""

    def __init__(self, limit: DeadLetterLimit):
        self._limit = limit
        self._counts: dict[TopicPartition, _Counts] = {}

    def exceeded(self, result: BatchResult) -> list[TopicPartition]:
        """Count a result; return the partitions that are over the limit with it."""
        over = []
        for place, part in result.parts.items():
            counts = self._counts.setdefault(place, _Counts())
            counts.add(part)
            if counts.is_over(self._limit):
                over.append(place)
        return over

    def forget(self, places: Collection[TopicPartition]) -> None:
        """Start anew for partitions that come back."""
        for place in places:
            self._counts.pop(place, None)


class _Counts:
    """Of one partition: dead letters in a row, and among the latest records."""

    def __init__(self) -> None:
        self._in_a_row = self._longest = 0
        self._recent: deque[tuple[int, int]] = deque()
        self._records = self._rejected = 0

    def add(self, part: PartitionResult) -> None:
        self._longest = 0
        self._count_row(part)
        self._recent.append((part.consumed, len(part.rejected)))
        self._records += part.consumed
        self._rejected += len(part.rejected)
        while self._records - self._recent[0][0] >= WINDOW_RECORDS:
            records, rejected = self._recent.popleft()
            self._records -= records
            self._rejected -= rejected

    def is_over(self, limit: DeadLetterLimit) -> bool:
        if 0 < limit.max_consecutive <= self._longest:
            return True
        enough = self._records >= WINDOW_RECORDS
        return enough and self._rejected > limit.max_ratio * self._records

    def _count_row(self, part: PartitionResult) -> None:
        """Follow the dead letters through the part; what lies between them resets."""
        expected = 0
        for rejected in part.rejected:
            if rejected.position != expected:
                self._in_a_row = 0
            self._in_a_row += 1
            self._longest = max(self._longest, self._in_a_row)
            expected = rejected.position + 1
        if expected != part.consumed:
            self._in_a_row = 0
