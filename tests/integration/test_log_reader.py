"""A range ends at a position, not at a record; what is open stays hidden."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as VendorPartition
from confluent_kafka.admin import AdminClient

from demo.broker import KafkaBroker
from tests.conftest import FreshTopic
from tests.published import commit_for
from tests.waiting import wait_until
from worker.errors import BrokerFailed, StateUnusable
from worker.kafka.admin import Cluster, TopicPlan
from worker.kafka.config import ClientSettings
from worker.kafka.reader import LogReader, Span
from worker.records import NextOffset, TopicPartition


@pytest.fixture
def client(kafka: KafkaBroker) -> ClientSettings:
    return ClientSettings(kafka.bootstrap_servers, "reader-group", "0")


@pytest.fixture
def reader(client: ClientSettings) -> Iterator[LogReader]:
    with LogReader(client) as opened:
        yield opened


@pytest.fixture
def cluster(client: ClientSettings) -> Iterator[Cluster]:
    with Cluster(client) as opened:
        yield opened


@pytest.fixture
def producer(kafka: KafkaBroker, fresh_topic: FreshTopic) -> Producer:
    made = Producer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "transactional.id": f"reader-{time.monotonic_ns()}",
            "retry.backoff.ms": 1,
        }
    )
    made.init_transactions(30)
    return made


def write(producer: Producer, place: TopicPartition, count: int) -> None:
    """Open a commit with so many records."""
    producer.begin_transaction()
    for i in range(count):
        producer.produce(
            place.topic,
            b"value %d" % i,
            b"key",
            partition=place.partition,
            headers=[("origin", b"here")],
        )
    producer.flush(30)


def await_end(cluster: Cluster, place: TopicPartition, end: int) -> None:
    """Wait for the marker of the last commit: the broker writes it afterwards."""
    wait_until(
        lambda: cluster.bounds([place])[place].end == end, what=f"the end at {end}"
    )


def offsets(reader: LogReader, span: Span, **options: float) -> list[int]:
    read = reader.read(span, patience_seconds=options.get("patience_seconds", 30.0))
    return [offset for batch in read for offset in batch.records.offsets]


def test_markers_and_aborted_records_leave_gaps_and_the_range_still_ends(
    reader: LogReader, cluster: Cluster, producer: Producer, fresh_topic: FreshTopic
) -> None:
    """offsets  0 1 | M | 3 4 aborted | M | 6 7 | M"""
    place = TopicPartition(fresh_topic("gaps", partitions=1), 0)
    for is_kept in (True, False, True):
        write(producer, place, 2)
        if is_kept:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)

    await_end(cluster, place, 9)
    span = Span(place, 0, 9)

    assert offsets(reader, span) == [0, 1, 6, 7]
    assert reader.last_record_end(span) == 8
    assert offsets(reader, Span(place, 3, 6)) == []
    assert offsets(reader, Span(place, 1, 7)) == [1, 6]
    assert offsets(reader, Span(place, 7, 7)) == []


def test_the_search_for_the_last_record_passes_what_holds_none(
    reader: LogReader, cluster: Cluster, producer: Producer, fresh_topic: FreshTopic
) -> None:
    place = TopicPartition(fresh_topic("aborted", partitions=1), 0)
    write(producer, place, 3)
    producer.commit_transaction(30)
    write(producer, place, 200)
    producer.abort_transaction(30)
    end = 3 + 1 + 200 + 1
    await_end(cluster, place, end)

    assert reader.last_record_end(Span(place, 0, end)) == 3
    assert reader.last_record_end(Span(place, 3, end)) == 3
    assert reader.last_record_end(Span(place, 0, 0)) == 0


def test_headers_come_when_asked_for(
    reader: LogReader, producer: Producer, fresh_topic: FreshTopic
) -> None:
    place = TopicPartition(fresh_topic("headers", partitions=1), 0)
    write(producer, place, 2)
    producer.commit_transaction(30)

    (with_them,) = reader.read(Span(place, 0, 2), with_headers=True)
    (without,) = reader.read(Span(place, 0, 2))

    assert with_them.headers == [[("origin", b"here")]] * 2
    assert without.headers == []
    assert with_them.records == without.records
    assert with_them.records.values == [b"value 0", b"value 1"]


def test_batches_are_no_larger_than_asked_for(
    reader: LogReader, producer: Producer, fresh_topic: FreshTopic
) -> None:
    place = TopicPartition(fresh_topic("batches", partitions=1), 0)
    write(producer, place, 50)
    producer.commit_transaction(30)

    sizes = [len(batch) for batch in reader.read(Span(place, 0, 50), max_records=20)]

    assert max(sizes) <= 20
    assert sum(sizes) == 50


def test_an_open_commit_hides_its_records_until_it_is_closed(
    reader: LogReader, cluster: Cluster, producer: Producer, fresh_topic: FreshTopic
) -> None:
    place = TopicPartition(fresh_topic("open", partitions=1), 0)
    write(producer, place, 2)
    producer.commit_transaction(30)
    await_end(cluster, place, 3)
    write(producer, place, 2)
    open_end = cluster.open_ends([place])[place]
    span = Span(place, 0, open_end)

    hidden = reader.read(span, patience_seconds=0.5)
    seen = [offset for batch in hidden for offset in batch.records.offsets]
    end_for_readers = cluster.bounds([place])[place].end
    producer.commit_transaction(30)

    assert seen == [0, 1]
    assert not hidden.is_complete
    assert (end_for_readers, open_end) == (3, 5)
    assert offsets(reader, span) == [0, 1, 3, 4]


def test_records_that_retention_removed_are_an_error_with_a_name(
    reader: LogReader,
    cluster: Cluster,
    producer: Producer,
    kafka: KafkaBroker,
    fresh_topic: FreshTopic,
) -> None:
    place = TopicPartition(fresh_topic("removed", partitions=1), 0)
    write(producer, place, 20)
    producer.commit_transaction(30)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for future in admin.delete_records([VendorPartition(*place, 12)]).values():
        future.result()
    whole = Span(place, 12, 20)

    assert cluster.bounds([place])[place].start == 12
    with pytest.raises(StateUnusable, match="cannot be read"):
        offsets(reader, Span(place, 0, 20))
    assert offsets(reader, whole) == list(range(12, 20))
    (first, *_) = reader.read(whole)
    assert reader.removed_until(whole) == first.records.timestamps_ms[0]
    assert reader.removed_until(Span(place, 0, 20)) is None


def test_a_broker_that_does_not_answer_is_an_error_after_some_patience() -> None:
    nobody = ClientSettings("127.0.0.1:1", "reader-group", "0")
    span = Span(TopicPartition("anything", 0), 0, 10)

    with (
        LogReader(nobody, answer_seconds=0.3) as reader,
        pytest.raises(BrokerFailed, match=r"no answer from the broker for 0\.3 s"),
    ):
        offsets(reader, span)


def test_a_topic_that_exists_is_not_created_again(
    cluster: Cluster, fresh_topic: FreshTopic
) -> None:
    name = fresh_topic("again")
    missing = f"{name}-not"

    assert cluster.create(TopicPlan(name, 9, None, {})) is False
    assert list(cluster.topics([missing, name])) == [name]
    assert len(cluster.partitions(name)) == 4
    assert cluster.partitions(missing) == []


def test_a_group_that_never_was_is_dead_and_has_no_offsets(
    cluster: Cluster, fresh_topic: FreshTopic
) -> None:
    place = TopicPartition(fresh_topic("groupless"), 0)

    assert cluster.group().state == "DEAD"
    assert cluster.committed([place]) == {place: None}
    assert cluster.broker_count() == 1
    assert cluster.offsets_at({place: 0}) == {place: None}


def test_what_was_committed_last_is_told_while_another_commit_is_open(
    kafka: KafkaBroker,
    cluster: Cluster,
    client: ClientSettings,
    producer: Producer,
    fresh_topic: FreshTopic,
) -> None:
    """Its worker may have died; who only looks need not wait until it is aborted."""
    place = TopicPartition(fresh_topic("undecided"), 0)
    commit_for(kafka.bootstrap_servers, client.group, {place: NextOffset(3, "three")})
    member = Consumer(
        {"bootstrap.servers": kafka.bootstrap_servers, "group.id": client.group}
    )
    producer.begin_transaction()
    producer.send_offsets_to_transaction(
        [VendorPartition(*place, 7)], member.consumer_group_metadata(), 30
    )

    told = cluster.last_committed([place])
    producer.commit_transaction(30)
    decided = cluster.committed([place])
    member.close()

    assert told == {place: NextOffset(3, "three")}
    assert decided == {place: NextOffset(7, "")}


def test_a_broker_that_is_not_there_is_an_error_that_names_the_question() -> None:
    nobody = ClientSettings("127.0.0.1:1", "reader-group", "0")

    with (
        Cluster(nobody, timeout_seconds=0.5) as cluster,
        pytest.raises(BrokerFailed, match="did not give the list of brokers"),
    ):
        cluster.broker_count()
