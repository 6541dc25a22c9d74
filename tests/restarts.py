"""Workers with real features and snapshots on the broker in memory, one after another.

What is read from a snapshot reaches a worker only item by item, as the test lets it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes import FakeConsumer, FakeProducer, InMemoryBroker
from tests.pipeline_builders import new_pipeline, payment
from tests.streams import FIRST_MS
from tests.workers import GROUP, INPUT, ManualClock, new_broker
from worker.commands.clients import reach_of
from worker.loop import (
    Limits,
    Report,
    Restoring,
    SnapshotPolicy,
    Snapshots,
    Stop,
    Worker,
)
from worker.metrics import ModelFacts, WorkerMetrics
from worker.records import Header, TopicPartition
from worker.scoring import LoadedModel
from worker.snapshots import Read, ReadItem, SnapshotStore

MINUTE_MS = 60_000

#: More items than any of these snapshots has.
ALL = 10**6


@dataclass
class ReadOnDemand:
    """One read, that goes on only when the test says so."""

    reads: ReadsOnDemand
    items: Generator[ReadItem]
    is_abandoned: bool = False

    def take(self) -> ReadItem | None:
        if not self.reads.allowed:
            return None
        self.reads.allowed -= 1
        return next(self.items)

    def abandon(self) -> None:
        self.is_abandoned = True
        self.items.close()


@dataclass
class ReadsOnDemand:
    """All reads of a worker, and how many items it may still have."""

    allowed: int = 0
    begun: list[ReadOnDemand] = field(default_factory=list)

    def __call__(self, sources: Iterable[Generator[ReadItem]]) -> Sequence[Read]:
        reads = [ReadOnDemand(self, items) for items in sources]
        self.begun += reads
        return reads


@dataclass
class Running:
    """A worker that has begun."""

    worker: Worker
    consumer: FakeConsumer
    producer: FakeProducer
    reads: ReadsOnDemand
    clock: ManualClock
    stop: Stop
    metrics: WorkerMetrics

    def run(self, iterations: int = 1) -> None:
        for _ in range(iterations):
            self.worker.run_once()

    def finish(self) -> None:
        """Let every read come to its end, and answer everything."""
        self.reads.allowed = ALL
        self.run(6)

    def take_snapshots(self) -> None:
        """Take one of each partition that is live, at once."""
        self.worker._take_last_snapshots()

    @property
    def loading(self) -> set[TopicPartition]:
        """The partitions that are still being filled."""
        return set(self.worker._assignment.loading)


@dataclass
class Succession:
    """One log, one directory of snapshots, and the workers that come and go."""

    model: LoadedModel
    directory: Path
    partitions: int = 2
    broker: InMemoryBroker = field(init=False)
    written_to: Counter[int] = field(default_factory=Counter)
    reads: list[ReadsOnDemand] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.broker = new_broker(self.partitions)
        # As a worker does: the time for its last snapshots is none for a compiler.
        for transform in self.model.stages:
            transform.warm_up()

    def write(self, count: int = 1, partition: int = 0) -> None:
        """Write payments of three customers, a minute after each other."""
        for _ in range(count):
            number = self.written_to.total()
            time_ms = FIRST_MS + number * MINUTE_MS
            value = payment(
                transaction_id=str(number),
                event_time=time_ms,
                customer_id=str(number % 3),
                amount=1 + number % 7,
            )
            place = TopicPartition(INPUT, partition)
            key = b"%d" % (number % 3)
            self.broker.append(place, value, key=key, timestamp_ms=time_ms)
            self.written_to[partition] += 1

    def answers(self, partition: int) -> list[tuple[bytes | None, list[Header]]]:
        """Return scores and headers, which hold digests of the features."""
        scores = self.broker.records("scores")[partition]
        return [(score.value, score.headers) for score in scores]

    def without_interruption(self) -> Succession:
        """Let one worker without snapshots answer the same log; return its world."""
        alone = Succession(self.model, self.directory / "alone", self.partitions)
        for partition, records in self.broker.records(INPUT).items():
            place = TopicPartition(INPUT, partition)
            for r in records:
                alone.broker.append(
                    place, r.value, key=r.key, timestamp_ms=r.timestamp_ms
                )
        alone.start().finish()
        return alone

    def snapshots(self) -> list[Path]:
        return sorted(self.directory.rglob("*.snapshot"))

    def close(self) -> None:
        """Let go of files that are still being read."""
        for reads in self.reads:
            for read in reads.begun:
                read.abandon()

    def start(self, name: str = "0", *, cold_start: bool = False) -> Running:
        """Start a worker, as far as its first assignment."""
        running = self.prepared(name, cold_start=cold_start)
        running.consumer.subscribe(
            on_assigned=running.worker._on_assigned,
            on_revoked=running.worker._on_revoked,
            on_lost=running.worker._on_lost,
        )
        running.run()
        return running

    def prepared(self, name: str = "0", *, cold_start: bool = False) -> Running:
        """Make a worker that has not begun."""
        clock, reads = ManualClock(), ReadsOnDemand()
        self.reads.append(reads)
        stop = Stop(clock)
        consumer = FakeConsumer(self.broker, GROUP, name, [INPUT])
        producer = FakeProducer(consumer)
        metrics = WorkerMetrics(
            ModelFacts("1", "0" * 64, "0" * 64, 0.0), app_version="0", topics=[INPUT]
        )
        spec = self.model.spec
        policy = SnapshotPolicy(
            SnapshotStore(self.directory),
            {INPUT: "id"},
            spec.state_fingerprint,
            interval_seconds=1e9,
            slice_events=2,
        )
        worker = Worker(
            consumer,
            producer,
            new_pipeline(self.model),
            restoring=Restoring(
                lambda _: self.model.stages[0].new_state(max_keys=10, max_events=1000),
                reach_of(spec),
                cold_start=cold_start,
                snapshots=Snapshots(policy, clock, reads),
            ),
            report=Report(metrics),
            limits=Limits(),
            stop=stop,
        )
        return Running(worker, consumer, producer, reads, clock, stop, metrics)
