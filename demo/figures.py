"""Rates and latencies of the latest seconds; pure, and told what time it is."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Latencies:
    """How many answers took how many milliseconds, second by second."""

    _by_second: dict[int, Counter[int]] = field(default_factory=dict)

    def add(self, *, started_ms: float, ended_ms: float) -> None:
        """Count one; what is less than a millisecond counts as one."""
        took = max(0, math.ceil(ended_ms - started_ms))
        self._by_second.setdefault(int(ended_ms // 1000), Counter())[took] += 1

    def since(self, second: float = -math.inf) -> Counter[int]:
        """Return how many took how long, of those that ended since then."""
        total: Counter[int] = Counter()
        for ended, counts in self._by_second.items():
            if ended >= second:
                total.update(counts)
        return total


@dataclass(slots=True)
class Rate:
    """How fast a count grows: over the latest seconds, from mark to mark."""

    seconds: float
    _marks: deque[tuple[float, int]] = field(default_factory=deque)

    def at(self, now: float, count: int) -> float:
        """Mark the count that holds now; return its growth a second."""
        while len(self._marks) > 1 and self._marks[0][0] < now - self.seconds:
            self._marks.popleft()
        self._marks.append((now, count))
        then, old = self._marks[0]
        return (count - old) / (now - then) if now > then else 0.0


def percentile(counts: Mapping[int, int], share: float) -> float:
    """Return the least value that at least this share does not exceed; nan for none.

    >>> percentile({3: 98, 40: 2}, 0.99)
    40.0
    """
    left = share * sum(counts.values())
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return float(value)
    return math.nan
