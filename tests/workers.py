"""Workers on the broker in memory, ready to be driven step by step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tests.counting import CountingPipeline, counting_state
from tests.fakes import FakeConsumer, FakeProducer, InMemoryBroker
from worker.loop import (
    DeadLetterLimit,
    Limits,
    Report,
    Restoring,
    Stop,
    Worker,
)
from worker.metrics import ModelFacts, WorkerMetrics
from worker.records import NextOffset, TopicPartition
from worker.recovery import CommitMetadata, Reach

GROUP = "fraud"
INPUT = "transactions"
DAY_MS = 86_400_000


@dataclass
class ManualClock:
    """Monotonic seconds that pass only when told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Bench:
    """A worker with everything around it in reach of a test."""

    broker: InMemoryBroker
    consumer: FakeConsumer
    producer: FakeProducer
    pipeline: CountingPipeline
    clock: ManualClock
    stop: Stop
    metrics: WorkerMetrics
    worker: Worker

    def begin(self) -> None:
        """Join the group and take partitions up, without an iteration."""
        self.consumer.subscribe(
            on_assigned=self.worker._on_assigned,
            on_revoked=self.worker._on_revoked,
            on_lost=self.worker._on_lost,
        )

    def write(self, *values: bytes, partition: int = 0, at_ms: int = DAY_MS) -> None:
        """Write records to the input."""
        for value in values:
            place = TopicPartition(INPUT, partition)
            self.broker.append(place, value, key=b"k", timestamp_ms=at_ms)

    def scores(self, partition: int = 0, topic: str = "scores") -> list[bytes | None]:
        """Return the values that a reader of committed records sees."""
        return [record.value for record in self.broker.records(topic)[partition]]

    def committed(self, partition: int = 0) -> int:
        """Return the committed offset."""
        place = TopicPartition(INPUT, partition)
        return self.broker.group(GROUP).committed[place].offset

    def metadata(self, partition: int = 0) -> Mapping[str, int | None]:
        """Return what the last commit remembers."""
        place = TopicPartition(INPUT, partition)
        text = self.broker.group(GROUP).committed[place].metadata
        fields: dict[str, int | None] = json.loads(text)
        return fields


def new_broker(partitions: int = 1) -> InMemoryBroker:
    """Return a broker whose group starts at the beginning."""
    broker = InMemoryBroker()
    for topic in (INPUT, "scores", "dead-letters"):
        broker.create_topic(topic, partitions)
    start = NextOffset(0, CommitMetadata(None, 0, 0).encode())
    for partition in range(partitions):
        broker.group(GROUP).committed[TopicPartition(INPUT, partition)] = start
    return broker


def new_bench(
    broker: InMemoryBroker | None = None,
    *,
    name: str = "0",
    max_batch: int = 100,
    limit: DeadLetterLimit | None = None,
    cold_start: bool = False,
) -> Bench:
    """Return a worker that has not begun."""
    broker = broker or new_broker()
    clock = ManualClock()
    stop = Stop(clock)
    consumer = FakeConsumer(broker, GROUP, name, [INPUT])
    producer = FakeProducer(consumer)
    pipeline = CountingPipeline()
    metrics = WorkerMetrics(
        ModelFacts("1", "0" * 64, "0" * 64, 0.0), app_version="0", topics=[INPUT]
    )
    limits = Limits(max_batch=max_batch, dead_letters=limit or DeadLetterLimit(1.0, 0))
    worker = Worker(
        consumer,
        producer,
        pipeline,
        restoring=Restoring(
            counting_state,
            Reach(horizon_ms=DAY_MS, retention_ms=2 * DAY_MS, max_ahead_ms=1000),
            cold_start=cold_start,
        ),
        report=Report(metrics),
        limits=limits,
        stop=stop,
    )
    return Bench(broker, consumer, producer, pipeline, clock, stop, metrics, worker)
