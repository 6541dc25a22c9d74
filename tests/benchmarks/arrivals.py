"""Notes when each score becomes visible to a reader of committed records."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

_ID = re.compile(rb'"transaction_id":"(\d+)"')

#: Nothing for so long means that nothing more will come.
_PATIENCE_SECONDS = 90.0


@dataclass(slots=True)
class Arrivals:
    """Payment number and arrival time (seconds since 1970) of each score."""

    numbers: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)


class ScoresReader:
    """Reads the scores topic from its beginning, outside of any group."""

    def __init__(self, servers: str, partitions: int):
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
            [TopicPartition("scores", p, OFFSET_BEGINNING) for p in range(partitions)]
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
