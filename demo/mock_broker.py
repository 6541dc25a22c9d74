"""A broker inside of this process, for machines without Java: librdkafka's own mock.

It keeps a few megabytes in memory and knows no commits across topics: enough to show
a worker at work, at least once; not enough to prove anything about delivery.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from confluent_kafka import Producer

#: It creates a topic when it is first asked for, with so many partitions.
PARTITIONS = 4

#: How long it may take to begin, seconds.
_START_SECONDS = 10


class MockBroker:
    """One broker on a loopback port, as long as the context lasts."""

    def __init__(self) -> None:
        self._host: Producer | None = None
        self.bootstrap_servers = ""

    def __enter__(self) -> Self:
        self._host = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        brokers = self._host.list_topics(timeout=_START_SECONDS).brokers.values()
        self.bootstrap_servers = ",".join(f"{b.host}:{b.port}" for b in brokers)
        return self

    def create_topics(self, names: Iterable[str]) -> None:
        """Create topics, each with `PARTITIONS` of them."""
        assert self._host is not None, "the broker runs"
        for name in names:
            self._host.list_topics(name, timeout=_START_SECONDS)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._host = None
