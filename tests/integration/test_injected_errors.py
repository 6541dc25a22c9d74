"""Every error that a broker can give to a commit, and what is made of it.

Injected through librdkafka's mock cluster, which needs no Java; what a real broker
does with commits is shown elsewhere.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import pytest
from confluent_kafka import KafkaError

from tests.mock_cluster import Api, MockCluster
from worker.errors import (
    BrokerFailed,
    CommitAborted,
    CommitUnknown,
    Fenced,
    StateUnusable,
)
from worker.kafka.at_least_once import AtLeastOnceProducer
from worker.kafka.config import ClientSettings
from worker.kafka.consumer import KafkaConsumer
from worker.kafka.producer import ExactlyOnceProducer
from worker.records import NextOffset, Output, TopicPartition

INPUT = TopicPartition("in", 0)

#: A busy machine may stand still for long; what comes at all comes much earlier.
PATIENCE_SECONDS = 60.0

#: What Kafka calls 120 has no name in every version of the client.
TRANSACTION_ABORTABLE = 120


@dataclass
class Bench:
    """A member of a group on a mock cluster, and what commits for it."""

    cluster: MockCluster
    settings: ClientSettings
    consumer: KafkaConsumer
    patience_seconds: float = 20.0

    def deadline(self, began: float) -> float:
        return began + self.patience_seconds

    def producer(self) -> ExactlyOnceProducer:
        return ExactlyOnceProducer(
            self.settings,
            membership=self.consumer.membership,
            deadline=self.deadline,
        )

    def careless_producer(self) -> AtLeastOnceProducer:
        return AtLeastOnceProducer(
            self.settings, commit_offsets=self.consumer.commit, deadline=self.deadline
        )


@pytest.fixture
def bench() -> Iterator[Bench]:
    with MockCluster() as cluster:
        cluster.create_topic("in")
        cluster.create_topic("out")
        settings = ClientSettings(
            cluster.bootstrap_servers, "g", "0", extra={"socket.timeout.ms": 3000}
        )
        consumer = KafkaConsumer(settings, topics=["in"], delay_seconds=0.001)
        _join(consumer)
        yield Bench(cluster, settings, consumer)
        cluster.forget_failures()
        consumer.close()


def _join(consumer: KafkaConsumer) -> None:
    taken: list[TopicPartition] = []

    def begin(
        committed: Mapping[TopicPartition, NextOffset | None],
    ) -> dict[TopicPartition, int]:
        taken.extend(committed)
        return dict.fromkeys(committed, 0)

    consumer.subscribe(
        on_assigned=begin, on_revoked=lambda _: None, on_lost=lambda _: None
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not taken:
        assert time.monotonic() < deadline
        consumer.poll(10, 0.05)


def commit(producer: ExactlyOnceProducer | AtLeastOnceProducer) -> None:
    producer.commit([Output("out", b"v", b"k", 0, [])], {INPUT: NextOffset(1, "")})


def commit_soon(
    bench: Bench, producer: ExactlyOnceProducer | AtLeastOnceProducer
) -> None:
    """Commit as the loop does: polling, and sending again what was aborted.

    After records were refused, their sequence numbers are missing, and the client
    needs one more attempt to notice and to begin anew.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        assert time.monotonic() < deadline
        bench.consumer.poll(10, 0.01)
        with suppress(CommitAborted):
            commit(producer)
            return


E = KafkaError

ABORTED = [
    (Api.TXN_OFFSET_COMMIT, E.ILLEGAL_GENERATION),
    (Api.TXN_OFFSET_COMMIT, E.UNKNOWN_MEMBER_ID),
    (Api.TXN_OFFSET_COMMIT, E.FENCED_INSTANCE_ID),
    (Api.TXN_OFFSET_COMMIT, E.REBALANCE_IN_PROGRESS),
    (Api.TXN_OFFSET_COMMIT, E.STALE_MEMBER_EPOCH),
    (Api.TXN_OFFSET_COMMIT, E.GROUP_AUTHORIZATION_FAILED),
    (Api.TXN_OFFSET_COMMIT, E.COORDINATOR_LOAD_IN_PROGRESS),
    (Api.ADD_PARTITIONS_TO_TXN, E.TOPIC_AUTHORIZATION_FAILED),
    (Api.PRODUCE, E.UNKNOWN_PRODUCER_ID),
    (Api.PRODUCE, E.TOPIC_AUTHORIZATION_FAILED),
    (Api.PRODUCE, E.MSG_SIZE_TOO_LARGE),
    (Api.PRODUCE, TRANSACTION_ABORTABLE),
    (Api.END_TXN, E.UNKNOWN_PRODUCER_ID),
    (Api.END_TXN, E.INVALID_PRODUCER_ID_MAPPING),
    (Api.END_TXN, TRANSACTION_ABORTABLE),
]

WAITED_OUT = [
    (Api.ADD_OFFSETS_TO_TXN, E.CONCURRENT_TRANSACTIONS),
    (Api.PRODUCE, E.NOT_ENOUGH_REPLICAS),
    (Api.END_TXN, E.COORDINATOR_NOT_AVAILABLE),
    (Api.END_TXN, E.NOT_COORDINATOR),
    (Api.END_TXN, E.CONCURRENT_TRANSACTIONS),
]

TAKEN_OVER = [
    (Api.TXN_OFFSET_COMMIT, E.INVALID_PRODUCER_EPOCH),
    (Api.PRODUCE, E.INVALID_PRODUCER_EPOCH),
    (Api.END_TXN, E.INVALID_PRODUCER_EPOCH),
    (Api.END_TXN, E.PRODUCER_FENCED),
]

HOPELESS = [
    (Api.PRODUCE, E.OUT_OF_ORDER_SEQUENCE_NUMBER),
    (Api.END_TXN, E.INVALID_TXN_STATE),
]


@pytest.mark.parametrize(("api", "code"), ABORTED)
def test_these_abort_the_commit_and_it_is_sent_again(
    bench: Bench, api: Api, code: int
) -> None:
    producer = bench.producer()
    bench.cluster.fail(api, code, code, code, code)

    with pytest.raises(CommitAborted):
        commit(producer)

    bench.cluster.forget_failures()
    commit_soon(bench, producer)
    producer.close()


@pytest.mark.parametrize(("api", "code"), WAITED_OUT)
def test_these_pass_unnoticed(bench: Bench, api: Api, code: int) -> None:
    producer = bench.producer()
    bench.cluster.fail(api, code, code, code)
    commit(producer)

    assert producer.replaced_count == 0
    producer.close()


@pytest.mark.parametrize(("api", "code"), TAKEN_OVER)
def test_these_tell_that_another_process_took_over(
    bench: Bench, api: Api, code: int
) -> None:
    producer = bench.producer()
    bench.cluster.fail(api, code)

    with pytest.raises(Fenced, match="FRAUD_INSTANCE"):
        commit(producer)
    producer.close()


@pytest.mark.parametrize(("api", "code"), HOPELESS)
def test_these_end_the_process(bench: Bench, api: Api, code: int) -> None:
    producer = bench.producer()
    bench.cluster.fail(api, code)

    with pytest.raises(BrokerFailed):
        commit(producer)
    producer.close()


def test_a_commit_without_an_answer_is_unknown_and_costs_the_producer_its_place(
    bench: Bench,
) -> None:
    producer = bench.producer()
    bench.patience_seconds = 2.0
    bench.cluster.fail(Api.END_TXN, *[E.COORDINATOR_NOT_AVAILABLE] * 1000)

    with pytest.raises(CommitUnknown):
        commit(producer)

    assert producer.replaced_count == 1
    bench.cluster.forget_failures()
    commit(producer)
    producer.close()


def test_offsets_without_an_answer_are_aborted(bench: Bench) -> None:
    producer = bench.producer()
    bench.patience_seconds = 2.0
    bench.cluster.fail(Api.TXN_OFFSET_COMMIT, *[E.COORDINATOR_LOAD_IN_PROGRESS] * 1000)

    with pytest.raises(CommitAborted):
        commit(producer)

    bench.cluster.forget_failures()
    commit(producer)
    producer.close()


def test_a_slow_commit_makes_the_next_one_use_a_new_producer(bench: Bench) -> None:
    """The request that took so long may have been sent twice."""
    producer = bench.producer()
    bench.cluster.delay(Api.END_TXN, 2000)
    commit(producer)
    assert producer.replaced_count == 0

    commit(producer)
    commit(producer)

    assert producer.replaced_count == 1
    producer.close()


def test_a_connection_that_breaks_in_a_commit_does_the_same(bench: Bench) -> None:
    producer = bench.producer()
    commit(producer)
    bench.cluster.delay(Api.END_TXN, 1000)
    cut: list[int] = []
    timer = threading.Timer(0.3, lambda: cut.append(bench.cluster.cut_connections()))
    timer.start()
    commit(producer)
    timer.join()
    assert cut[0] > 0

    commit(producer)

    assert producer.replaced_count == 1
    producer.close()


def test_nothing_is_committed_for_one_who_is_no_member(bench: Bench) -> None:
    stranger = KafkaConsumer(bench.settings, topics=["in"], delay_seconds=0.001)
    producer = ExactlyOnceProducer(
        bench.settings, membership=stranger.membership, deadline=bench.deadline
    )

    with pytest.raises(CommitAborted, match="not a member"):
        commit(producer)
    producer.close()
    stranger.close()


def test_an_id_that_may_not_be_used_ends_the_process(bench: Bench) -> None:
    bench.cluster.fail(Api.INIT_PRODUCER_ID, E.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)

    with pytest.raises(BrokerFailed):
        bench.producer()


@pytest.mark.parametrize(
    "code", [E.ILLEGAL_GENERATION, E.UNKNOWN_MEMBER_ID, E.REBALANCE_IN_PROGRESS]
)
def test_at_least_once_sends_again_what_a_rebalance_refused(
    bench: Bench, code: int
) -> None:
    producer = bench.careless_producer()
    bench.cluster.fail(Api.OFFSET_COMMIT, code)

    with pytest.raises(CommitAborted):
        commit(producer)
    producer.close()


def test_at_least_once_sends_again_what_was_not_allowed(bench: Bench) -> None:
    producer = bench.careless_producer()
    bench.cluster.fail(Api.OFFSET_COMMIT, E.GROUP_AUTHORIZATION_FAILED)

    with pytest.raises(CommitAborted):
        commit(producer)

    commit_soon(bench, producer)
    producer.close()


def test_at_least_once_commits_no_offset_of_an_output_that_was_refused(
    bench: Bench,
) -> None:
    producer = bench.careless_producer()
    bench.cluster.fail(Api.PRODUCE, E.TOPIC_AUTHORIZATION_FAILED)

    with pytest.raises(CommitAborted):
        commit(producer)

    assert bench.consumer.committed([INPUT]) == {INPUT: None}
    bench.cluster.forget_failures()
    commit_soon(bench, producer)
    assert bench.consumer.committed([INPUT]) == {INPUT: NextOffset(1, "")}
    producer.close()


def test_an_offset_that_cannot_be_fetched_ends_the_process_by_name(
    bench: Bench,
) -> None:
    bench.cluster.fail(Api.FETCH, *[E.OFFSET_OUT_OF_RANGE] * 5)

    with pytest.raises(StateUnusable, match="at in/0 offset"):
        poll_for(bench.consumer, seconds=PATIENCE_SECONDS)


def test_a_topic_that_may_not_be_read_ends_the_process_if_it_lasts(
    bench: Bench,
) -> None:
    bench.consumer.refusals.patience_seconds = 0.5
    bench.cluster.fail(Api.FETCH, E.TOPIC_AUTHORIZATION_FAILED)

    with pytest.raises(BrokerFailed, match="rights"):
        poll_for(bench.consumer, seconds=PATIENCE_SECONDS)


def test_a_refusal_that_passes_is_forgotten(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    # More than one: the answer to a fetch is lost with its connection, if that breaks.
    bench.cluster.fail(Api.FETCH, *[E.TOPIC_AUTHORIZATION_FAILED] * 100)
    # By the log: one poll may bring both the refusal and its end.
    poll_until(bench.consumer, lambda: "broker_refuses" in caplog.messages)
    bench.cluster.forget_failures()
    producer = bench.careless_producer()
    producer.commit([Output("in", b"v", b"k", 0, [])], {INPUT: NextOffset(0, "")})
    poll_until(bench.consumer, lambda: bench.consumer.positions()[INPUT] >= 1)

    assert bench.consumer.refusals.since is None
    producer.close()


def poll_until(consumer: KafkaConsumer, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        consumer.poll(10, 0.05)


def poll_for(consumer: KafkaConsumer, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        consumer.poll(10, 0.05)
