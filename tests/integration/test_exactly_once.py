"""Exactly once on Kafka itself while commits abort and partitions move.

The pipeline only counts: the answers on a partition are `0#1 1#2 2#3 …`, unless a
record was lost, answered twice, or folded twice.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import KafkaError

from demo.broker import KafkaBroker
from tests.conftest import FreshTopic
from tests.counting import CountingPipeline, counting_state
from tests.waiting import wait_until
from worker.errors import CommitAborted
from worker.kafka.admin import Cluster
from worker.kafka.config import ClientSettings
from worker.kafka.consumer import KafkaConsumer
from worker.kafka.faults import Action, Call
from worker.kafka.membership import Membership
from worker.kafka.producer import ExactlyOnceProducer
from worker.kafka.reader import LogReader, Span
from worker.kafka.sending import Failed, Sender
from worker.kafka.starting import GroupStart
from worker.loop import Limits, Report, Restoring, Stop, Worker
from worker.metrics import ModelFacts, WorkerMetrics, catalogue
from worker.records import NextOffset, Output, TopicPartition
from worker.recovery import CommitMetadata, Reach

PARTITIONS = 4

NOTHING: Mapping[str, Any] = MappingProxyType({})


class FlakySender(Sender):
    """Finds, every so often, that a commit must be aborted right before its end."""

    share = 0.3
    chance = random.Random(1)

    def insist(self, call: Call, function: Callable[..., Any], *args: Any) -> None:
        if call is Call.COMMIT and self.chance.random() < self.share:
            error = KafkaError(KafkaError.ILLEGAL_GENERATION, txn_requires_abort=True)
            raise Failed(Call.OFFSETS, Action.ABORT, error)
        super().insist(call, function, *args)


class FlakyProducer(ExactlyOnceProducer):
    """Its commits are begun, produced, and then aborted for real."""

    def _connect(self) -> Sender:
        sender = super()._connect()
        sender.__class__ = FlakySender
        return sender


class Scene:
    """Topics, a group, and workers in threads of this process."""

    def __init__(self, kafka: KafkaBroker, group: str, topic: str, scores: str):
        self.kafka, self.group, self.topic, self.scores = kafka, group, topic, scores
        self.places = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        self.written = [0] * PARTITIONS
        self.metrics: list[WorkerMetrics] = []
        self._producer = confluent_kafka.Producer(
            {"bootstrap.servers": kafka.bootstrap_servers}
        )
        start = NextOffset(0, CommitMetadata(None, 0, 0).encode())
        with GroupStart(self.settings("x")) as group_start:
            assert group_start.commit(dict.fromkeys(self.places, start))

    def settings(self, name: str, extra: Mapping[str, Any] = NOTHING) -> ClientSettings:
        return ClientSettings(
            self.kafka.bootstrap_servers,
            self.group,
            name,
            is_static=False,
            extra=extra,
        )

    def write(self, count: int) -> None:
        for i in range(count):
            partition = i % PARTITIONS
            value = b"%d" % self.written[partition]
            self._producer.produce(self.topic, value, b"k", partition)
            self.written[partition] += 1
        assert self._producer.flush(30) == 0

    @contextmanager
    def working(
        self,
        name: str,
        *,
        nap: threading.Event | None = None,
        extra: Mapping[str, Any] = NOTHING,
    ) -> Iterator[None]:
        """Let a worker run in a thread while the context lasts."""
        stop, errors = Stop(), list[BaseException]()
        worker = self._worker(stop, self.settings(name, extra), nap)

        def work() -> None:
            try:
                worker.run()
            except BaseException as error:  # noqa: BLE001 - shown by the test
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.request()
            thread.join()
        assert errors == []

    def await_commits(self) -> None:
        """Wait until the group has answered all that was written."""
        with Cluster(self.settings("y")) as cluster:

            def done() -> bool:
                offsets = cluster.committed(self.places)
                return [
                    offset.offset if (offset := offsets[place]) else 0
                    for place in self.places
                ] == self.written

            wait_until(done, what="all commits", seconds=120)

    def answers(self) -> list[list[bytes]]:
        """Return what a reader of committed records sees, by partition."""
        with (
            Cluster(self.settings("y")) as cluster,
            LogReader(self.settings("y")) as reader,
        ):
            places = cluster.partitions(self.scores)
            bounds = cluster.bounds(places)
            spans = [Span(p, bounds[p].start, bounds[p].end) for p in places]
            return [
                [
                    value or b""
                    for batch in reader.read(s)
                    for value in batch.records.values
                ]
                for s in spans
            ]

    def right_answers(self) -> list[list[bytes]]:
        return [[b"%d#%d" % (i, i + 1) for i in range(n)] for n in self.written]

    def aborts(self) -> float:
        """Return how many commits were aborted."""
        return sum(
            metrics.store.value(catalogue.COMMIT_ABORTS, "aborted")
            for metrics in self.metrics
        )

    def _worker(
        self, stop: Stop, settings: ClientSettings, nap: threading.Event | None
    ) -> Worker:
        consumer = KafkaConsumer(settings, topics=[self.topic], delay_seconds=0.002)
        producer = FlakyProducer(
            settings, membership=consumer.membership, deadline=stop.deadline
        )
        metrics = WorkerMetrics(
            ModelFacts("1", "0" * 64, "0" * 64, 0.0),
            app_version="0",
            topics=[self.topic],
        )
        self.metrics.append(metrics)
        return Worker(
            consumer,
            producer,
            NappingPipeline(self.scores, nap),
            restoring=Restoring(counting_state, Reach(10**12, 10**12, 0)),
            report=Report(metrics),
            limits=Limits(max_batch=50),
            stop=stop,
        )


class NappingPipeline(CountingPipeline):
    """Sleeps through its session, once, when it is told to."""

    def __init__(self, scores: str, nap: threading.Event | None):
        super().__init__()
        self._scores = scores
        self._nap = nap

    def run(self, records: Any, partitions: Mapping[TopicPartition, Any]) -> Any:
        result = super().run(records, partitions)
        for part in result.parts.values():
            part.outputs[:] = [
                Output(self._scores, *output[1:]) for output in part.outputs
            ]
        if self._nap is not None and not self._nap.is_set():
            self._nap.set()
            threading.Event().wait(8)
        return result


@pytest.fixture
def scene(kafka: KafkaBroker, fresh_topic: FreshTopic) -> Scene:
    topic = fresh_topic("once", partitions=PARTITIONS)
    scores = fresh_topic("once-scores", partitions=PARTITIONS)
    return Scene(kafka, f"group-{topic}", topic, scores)


def test_aborted_commits_lose_nothing_and_repeat_nothing(scene: Scene) -> None:
    scene.write(4000)
    with scene.working("0"):
        scene.await_commits()

    assert scene.aborts() > 10
    assert scene.answers() == scene.right_answers()


def test_workers_that_join_and_leave_while_commits_abort(scene: Scene) -> None:
    with scene.working("0"):
        for _ in range(3):
            with scene.working("1"):
                scene.write(2000)
                scene.await_commits()
            scene.write(1000)
            scene.await_commits()

    assert scene.aborts() > 10
    assert scene.answers() == scene.right_answers()


def test_a_worker_that_slept_through_its_session_writes_nothing_twice(
    scene: Scene,
) -> None:
    """Another has answered what it held; it comes back, and finds out."""
    short = {"session.timeout.ms": 6000, "max.poll.interval.ms": 6000}
    nap = threading.Event()
    with scene.working("0", nap=nap, extra=short):
        scene.write(1000)
        assert nap.wait(60)
        with scene.working("1", extra=short):
            scene.await_commits()
            scene.write(1000)
            scene.await_commits()

    assert scene.answers() == scene.right_answers()


def test_a_proof_from_before_a_rebalance_is_refused_and_asked_for_anew(
    scene: Scene,
) -> None:
    """The broker checks it, so it may be remembered from one commit to the next."""
    first, second = Member(scene, "0"), Member(scene, "1")
    first.join()
    wait_until(lambda: first.poll() == set(scene.places), what="all", seconds=30)
    proof = first.consumer.membership.proof()
    second.join()
    wait_until(lambda: first.poll() and second.poll(), what="shared", seconds=30)
    renewed = first.consumer.membership.proof()
    assert first.consumer.membership.proof() is renewed is not proof

    asked = iter([proof, renewed])
    producer = ExactlyOnceProducer(
        scene.settings("0"),
        membership=Membership(lambda: next(asked)),
        deadline=Stop().deadline,
    )
    place = min(first.places)
    output = Output(scene.scores, b"0#1", b"k", place.partition, [])
    with pytest.raises(CommitAborted, match="ILLEGAL_GENERATION"):
        producer.commit([output], {place: NextOffset(1, "")})
    producer.commit([output], {place: NextOffset(1, "")})

    assert [len(of_place) for of_place in scene.answers()].count(1) == 1
    for closing in (producer, first.consumer, second.consumer):
        closing.close()


class Member:
    """A member of the group by itself, which reads nothing."""

    def __init__(self, scene: Scene, name: str):
        self.places: set[TopicPartition] = set()
        self.consumer = KafkaConsumer(
            scene.settings(name), topics=[scene.topic], delay_seconds=0.0
        )

    def join(self) -> None:
        self.consumer.subscribe(
            on_assigned=self._take, on_revoked=self._give, on_lost=self._give
        )

    def poll(self) -> set[TopicPartition]:
        """Return the partitions that are its own."""
        self.consumer.poll(1, 0.05)
        return self.places

    def _take(
        self, committed: Mapping[TopicPartition, NextOffset | None]
    ) -> dict[TopicPartition, int]:
        self.places.update(committed)
        return dict.fromkeys(committed, 0)

    def _give(self, places: Sequence[TopicPartition]) -> None:
        self.places.difference_update(places)
