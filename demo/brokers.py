"""The broker of the demo: Apache Kafka, or a mock of it where there is no Java."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from demo.broker import KafkaBroker, prepare
from demo.kafka_jars import kafka_available
from demo.mock_broker import PARTITIONS, MockBroker
from demo.programs import DemoError

Choice = Literal["auto", "kafka", "mock"]

#: An empty fetch of the mock always takes as long as it may, whatever arrives.
_MOCK_FETCH_MS = "5"


def _nothing() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that runs.

    Attributes
    ----------
    title
        What it is, and what it guarantees.
    is_real
        Whether it is Kafka: its commits cover several topics.
    create_topics
        Creates those of these names; None where the worker's own command does.
    is_running
        Whether it lives; the mock does as long as this process.
    consumer
        Properties that a consumer needs besides the address.
    worker
        Settings that a worker needs besides the address.
    """

    servers: str
    title: str
    is_real: bool
    create_topics: Callable[[Iterable[str]], None] | None = None
    is_running: Callable[[], bool] = lambda: True
    consumer: Mapping[str, str] = field(default_factory=_nothing)
    worker: Mapping[str, str] = field(default_factory=_nothing)


@contextmanager
def open_broker(choice: Choice, directory: Path) -> Iterator[Broker]:
    """Run a broker; it is gone at the end of the context.

    Raises
    ------
    BrokerError
        Kafka is wanted, and cannot be had.
    """
    if choice == "mock" or (choice == "auto" and kafka_available() is not None):
        with MockBroker() as mock:
            yield Broker(
                mock.bootstrap_servers,
                "at-least-once demo broker, in memory",
                is_real=False,
                create_topics=mock.create_topics,
                consumer={"fetch.wait.max.ms": _MOCK_FETCH_MS},
                worker={
                    "FRAUD_GUARANTEE": "at-least-once",
                    "FRAUD_KAFKA_FETCH_WAIT_MAX_MS": _MOCK_FETCH_MS,
                },
            )
        return
    prepare()
    with KafkaBroker(directory) as kafka:
        yield Broker(
            kafka.bootstrap_servers, "Apache Kafka, exactly once", is_real=True
        )


def partitions_for(broker: Broker, workers: int) -> int:
    """Return the number of partitions: one for each worker, and a few at least.

    Raises
    ------
    DemoError
        The broker cannot have so many.
    """
    if not broker.is_real and workers > PARTITIONS:
        raise DemoError(f"{broker.title}: it has work for {PARTITIONS} workers at most")
    return max(PARTITIONS, workers)
