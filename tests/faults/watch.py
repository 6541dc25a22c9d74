"""When each score came to a reader of committed records."""

from __future__ import annotations

import itertools
import threading
import time
from bisect import bisect_left
from typing import Self

from confluent_kafka import Consumer, Message, TopicPartition

from tests.live import Stream
from tests.waiting import wait_until
from worker.kafka.config import outsider_properties

#: The longest that any recovery may take on a busy machine, seconds.
PATIENCE_SECONDS = 150.0


def now_ms() -> int:
    """Return the moment at which a fault strikes."""
    return int(time.time() * 1000) + 1


def wait_for(moment_ms: int) -> None:
    """Let a fault last, or the calm before the next."""
    wait_until(lambda: now_ms() > moment_ms, what="the moment", seconds=600)


class ScoreWatch:
    """Reads the scores in a thread; use it as a context manager.

    A score is younger than a fault when the worker produced it later: the timestamp of
    its record says so, however late a reader sees it.
    """

    def __init__(self, stream: Stream):
        self._made_ms: list[list[int]] = [[] for _ in range(stream.partitions)]
        self._came: list[list[float]] = [[] for _ in range(stream.partitions)]
        # It need not tell that a broker is broken which was broken on purpose.
        quiet = {**outsider_properties(stream.clients), "log_level": 0}
        self._consumer = Consumer(quiet)
        self._consumer.assign(
            [TopicPartition(stream.scores, p, 0) for p in range(stream.partitions)]
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def await_after(
        self, moment_ms: int, *, seconds: float = PATIENCE_SECONDS
    ) -> list[float]:
        """Wait for a score younger than the moment on every partition.

        Returns how long each partition took, seconds.
        """
        wait_until(
            lambda: all(made and made[-1] >= moment_ms for made in self._made_ms),
            what="a younger score on every partition",
            seconds=seconds,
        )
        return [
            came[bisect_left(made, moment_ms)] - moment_ms / 1000
            for made, came in zip(self._made_ms, self._came, strict=True)
        ]

    def silences(self, since_ms: int, until_ms: int) -> list[float]:
        """Return the longest time without a score on each partition, seconds."""
        return [_longest(came, since_ms / 1000, until_ms / 1000) for came in self._came]

    def _read(self) -> None:
        while not self._stop.is_set():
            for message in self._consumer.consume(1000, 0.02):
                if message.error() is None:
                    self._note(message)

    def _note(self, message: Message) -> None:
        partition = message.partition()
        assert partition is not None
        # In this order: whoever sees the time at which it was made finds the other.
        self._came[partition].append(time.time())
        self._made_ms[partition].append(message.timestamp()[1])


def _longest(came: list[float], since: float, until: float) -> float:
    between = [t for t in came if since < t < until]
    times = [since, *between, until]
    return max(later - t for t, later in itertools.pairwise(times))
