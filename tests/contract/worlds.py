"""Two brokers behind one face: the one in memory and Apache Kafka itself."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Protocol

import confluent_kafka

from demo.broker import KafkaBroker
from tests.fakes import FakeConsumer, FakeProducer, InMemoryBroker, Stored
from tests.waiting import wait_until
from worker.kafka.admin import Cluster
from worker.kafka.config import ClientSettings
from worker.kafka.consumer import KafkaConsumer
from worker.kafka.producer import ExactlyOnceProducer
from worker.kafka.reader import LogReader, Span
from worker.kafka.starting import GroupStart
from worker.loop import Consumer, Producer, Stop
from worker.records import NextOffset, TopicPartition

_names = itertools.count(1)


class World(Protocol):
    """A broker, and what a test does to it from outside of the worker."""

    def create_topic(self, partitions: int) -> str: ...

    def write(self, place: TopicPartition, *values: bytes, at_ms: int = 1) -> None: ...

    def write_in_vain(self, place: TopicPartition, count: int) -> None:
        """Leave offsets behind that no reader of committed records sees."""

    def read(self, topic: str, *, awaited: int = 0) -> dict[int, list[Stored]]:
        """Return what readers of committed records see, once it is as much.

        A broker ends a transaction before it has written the markers that show it.
        """

    def start_group(
        self, group: str, starts: Mapping[TopicPartition, NextOffset]
    ) -> None: ...

    def consumer(self, group: str, name: str, topic: str) -> Consumer: ...

    def producer(self, consumer: Consumer, group: str, name: str) -> Producer: ...

    def close(self) -> None: ...


class WorldInMemory:
    """The broker of tests/fakes.py."""

    def __init__(self) -> None:
        self.broker = InMemoryBroker()

    def create_topic(self, partitions: int) -> str:
        name = f"topic-{next(_names)}"
        self.broker.create_topic(name, partitions)
        return name

    def write(self, place: TopicPartition, *values: bytes, at_ms: int = 1) -> None:
        for value in values:
            self.broker.append(place, value, key=b"k", timestamp_ms=at_ms)

    def write_in_vain(self, place: TopicPartition, count: int) -> None:
        self.broker.skip(place, count)

    def read(self, topic: str, *, awaited: int = 0) -> dict[int, list[Stored]]:  # noqa: ARG002
        return self.broker.records(topic)

    def start_group(
        self, group: str, starts: Mapping[TopicPartition, NextOffset]
    ) -> None:
        self.broker.group(group).committed.update(starts)

    def consumer(self, group: str, name: str, topic: str) -> Consumer:
        return FakeConsumer(self.broker, group, name, [topic])

    def producer(self, consumer: Consumer, group: str, name: str) -> Producer:  # noqa: ARG002
        assert isinstance(consumer, FakeConsumer)
        return FakeProducer(consumer)

    def close(self) -> None:
        """There is nothing to be closed."""


class WorldOfKafka:
    """The development broker."""

    def __init__(self, kafka: KafkaBroker):
        self._kafka = kafka
        self._closing = ExitStack()
        self._plain = confluent_kafka.Producer(
            {"bootstrap.servers": kafka.bootstrap_servers}
        )
        self._cluster = self._closing.enter_context(Cluster(self._settings("x", "x")))
        self._reader = self._closing.enter_context(LogReader(self._settings("x", "x")))

    def create_topic(self, partitions: int) -> str:
        name = f"contract-{next(_names)}"
        self._kafka.create_topics({name: partitions})
        return name

    def write(self, place: TopicPartition, *values: bytes, at_ms: int = 1) -> None:
        for value in values:
            self._plain.produce(
                place.topic, value, b"k", place.partition, timestamp=at_ms
            )
        assert self._plain.flush(10) == 0

    def write_in_vain(self, place: TopicPartition, count: int) -> None:
        writer = confluent_kafka.Producer(
            {
                "bootstrap.servers": self._kafka.bootstrap_servers,
                "transactional.id": f"in-vain-{next(_names)}",
            }
        )
        end = self._cluster.bounds([place])[place].end
        writer.init_transactions(30)
        writer.begin_transaction()
        for _ in range(count - 1):
            writer.produce(place.topic, b"in vain", b"k", place.partition)
        writer.flush(10)
        writer.abort_transaction(10)
        # The marker is written after the abort has returned.
        wait_until(
            lambda: self._cluster.bounds([place])[place].end == end + count,
            what="the marker of an abort",
        )

    def read(self, topic: str, *, awaited: int = 0) -> dict[int, list[Stored]]:
        wait_until(
            lambda: sum(map(len, self._read_now(topic).values())) >= awaited,
            what=f"{awaited} committed records",
        )
        return self._read_now(topic)

    def _read_now(self, topic: str) -> dict[int, list[Stored]]:
        places = self._cluster.partitions(topic)
        bounds = self._cluster.bounds(places)
        return {
            place.partition: self._read(
                Span(place, bounds[place].start, bounds[place].end)
            )
            for place in places
        }

    def start_group(
        self, group: str, starts: Mapping[TopicPartition, NextOffset]
    ) -> None:
        with GroupStart(self._settings(group, "x")) as start:
            assert start.commit(starts)

    def consumer(self, group: str, name: str, topic: str) -> Consumer:
        settings = self._settings(group, name)
        return KafkaConsumer(settings, topics=[topic], delay_seconds=0.005)

    def producer(self, consumer: Consumer, group: str, name: str) -> Producer:
        assert isinstance(consumer, KafkaConsumer)
        return ExactlyOnceProducer(
            self._settings(group, name),
            membership=consumer.membership,
            deadline=Stop().deadline,
        )

    def close(self) -> None:
        self._closing.close()

    def _settings(self, group: str, name: str) -> ClientSettings:
        # Members that leave are gone at once: nothing here waits for a session.
        return ClientSettings(
            self._kafka.bootstrap_servers, group, name, is_static=False
        )

    def _read(self, span: Span) -> list[Stored]:
        return [
            stored
            for batch in self._reader.read(span, with_headers=True)
            for stored in map(
                Stored,
                batch.records.offsets,
                batch.records.keys,
                batch.records.values,
                batch.headers,
                batch.records.timestamps_ms,
            )
        ]


def values(records: Sequence[Stored]) -> list[bytes | None]:
    """Return the values of records."""
    return [record.value for record in records]
