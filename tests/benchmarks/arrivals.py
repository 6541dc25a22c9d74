"""Notes when each score becomes visible to a reader of committed records."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

_ID = re.compile(rb'"transaction_id":"(\d+)"')

#: Nothing for so long means that nothing more will come.
_PATIENCE_SECONDS = 90.0


@dataclass(slots=True)
class Arrivals:
    """Payment number and arrival time (seconds since 1970) of each score."""

    numbers: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)


class Counted(NamedTuple):
    """When the first scores and the last ones came, and how many after the first.

    In seconds since 1970.
    """

    first_at: float
    last_at: float
    later: int

    @property
    def per_second(self) -> float:
        """Scores a second, from the first ones to the last ones."""
        return self.later / (self.last_at - self.first_at)


class ScoresReader:
    """Reads a topic of scores from its beginning, outside of any group."""

    def __init__(self, servers: str, topic: str, partitions: int):
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "benchmark",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
                "fetch.queue.backoff.ms": 5,
                "queued.min.messages": 200_000,
            }
        )
        self._consumer.assign(
            [TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)]
        )

    def read(self, count: int) -> Arrivals:
        """Read so many scores.

        Raises
        ------
        TimeoutError
            None came for a long time.
        """
        arrivals = Arrivals()
        waiting_since = time.time()
        while len(arrivals.numbers) < count:
            messages = self._poll()
            now = time.time()
            if messages:
                waiting_since = now
            elif now - waiting_since > _PATIENCE_SECONDS:
                raise TimeoutError(f"{len(arrivals.numbers)} of {count} scores came")
            for message in messages:
                found = _ID.search(message.value() or b"")
                if found is not None:
                    arrivals.numbers.append(int(found[1]))
                    arrivals.times.append(now)
        return arrivals

    def count(self, count: int, on_first: Callable[[], None]) -> Counted:
        """Read so many scores without looking at them.

        Cheaper than `read`: who drains is not to wait for who reads.

        Parameters
        ----------
        on_first
            Called when the first ones have come.

        Raises
        ------
        TimeoutError
            None came for a long time.
        """
        first, first_at = self._first()
        on_first()
        found, last_at = first, first_at
        while found < count:
            messages = self._poll()
            now = time.time()
            if messages:
                found, last_at = found + len(messages), now
            elif now - last_at > _PATIENCE_SECONDS:
                raise TimeoutError(f"{found} of {count} scores came")
        return Counted(first_at, last_at, found - first)

    def _first(self) -> tuple[int, float]:
        """Return how many scores came at once as the first ones, and when."""
        deadline = time.time() + _PATIENCE_SECONDS
        while not (messages := self._poll()):
            if time.time() > deadline:
                raise TimeoutError("no score came")
        return len(messages), time.time()

    def read_until(self, moment: float) -> None:
        """Read whatever comes up to a moment, in seconds since 1970."""
        while time.time() < moment:
            self._poll()

    def read_made_since(self, moment: float) -> float:
        """Read up to a score made at or after a moment; return when it came.

        A record bears the time at which the worker made it.

        Raises
        ------
        TimeoutError
            None came for a long time.
        """
        while time.time() < moment + _PATIENCE_SECONDS:
            messages = self._poll()
            now = time.time()
            if any(message.timestamp()[1] > moment * 1000 for message in messages):
                return now
        raise TimeoutError("no new score came")

    def _poll(self) -> list[Message]:
        first = self._consumer.poll(0.1)
        return [] if first is None else [first, *self._consumer.consume(5000, 0)]

    def close(self) -> None:
        """Close the client."""
        self._consumer.close()
