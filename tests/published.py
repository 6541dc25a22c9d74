"""Puts logs and answers on a broker as the real ones are: with commits that abort."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from confluent_kafka import ConsumerGroupTopicPartitions, Producer
from confluent_kafka import TopicPartition as VendorPartition
from confluent_kafka.admin import AdminClient

from worker.kafka.config import ClientSettings
from worker.kafka.reader import LogReader, Span
from worker.records import NextOffset, Output, RecordBatch, TopicPartition

_COMMIT_RECORDS = 70

_ids = itertools.count(1)


@contextmanager
def open_commit(bootstrap_servers: str, outputs: Sequence[Output]) -> Iterator[None]:
    """Keep a commit open with some outputs in it; it is aborted afterwards."""
    producer = _producer(bootstrap_servers)
    producer.begin_transaction()
    for output in outputs:
        _produce(producer, output)
    producer.flush(30)
    try:
        yield
    finally:
        producer.abort_transaction(30)


def publish(bootstrap_servers: str, outputs: Sequence[Output]) -> None:
    """Produce in several commits, one of them aborted and repeated.

    Commits end with markers, so offsets have gaps, and the last of each partition
    holds no record.
    """
    producer = _producer(bootstrap_servers)
    for first in range(0, len(outputs), _COMMIT_RECORDS):
        for is_kept in (False, True) if first == 0 else (True,):
            producer.begin_transaction()
            for output in outputs[first : first + _COMMIT_RECORDS]:
                _produce(producer, output)
            producer.flush(30)
            if is_kept:
                producer.commit_transaction(30)
            else:
                producer.abort_transaction(30)


def _producer(bootstrap_servers: str) -> Producer:
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "transactional.id": f"tests-{next(_ids)}",
            "retry.backoff.ms": 1,
        }
    )
    producer.init_transactions(30)
    return producer


def _produce(producer: Producer, output: Output, *, timestamp_ms: int = 0) -> None:
    producer.produce(
        output.topic,
        output.value,
        output.key,
        partition=output.partition,
        headers=list(output.headers),
        timestamp=timestamp_ms,
    )


def publish_log(bootstrap_servers: str, records: RecordBatch) -> int:
    """Produce the records of an empty partition with their own timestamps, with gaps.

    Returns the end of the log, which the last marker may reach only a moment later.
    """
    producer = _producer(bootstrap_servers)
    place = TopicPartition(records.topics[0], records.partitions[0])
    for first in range(0, len(records), _COMMIT_RECORDS):
        producer.begin_transaction()
        for row in range(first, min(first + _COMMIT_RECORDS, len(records))):
            key, value = records.keys[row], records.values[row]
            output = Output(place.topic, value, key, place.partition, [])
            _produce(producer, output, timestamp_ms=records.timestamps_ms[row])
        producer.flush(30)
        producer.commit_transaction(30)
    return len(records) + len(range(0, len(records), _COMMIT_RECORDS))


def read_all(client: ClientSettings, place: TopicPartition, end: int) -> RecordBatch:
    """Every record of a partition, at its true offset; waits for the end."""
    whole = RecordBatch()
    with LogReader(client) as reader:
        for batch in reader.read(Span(place, 0, end)):
            part = batch.records
            whole.topics += part.topics
            whole.partitions += part.partitions
            whole.offsets += part.offsets
            whole.timestamps_ms += part.timestamps_ms
            whole.keys += part.keys
            whole.values += part.values
    return whole


def commit_for(
    bootstrap_servers: str, group: str, offsets: Mapping[TopicPartition, NextOffset]
) -> None:
    """Commit for a group that has no members, metadata included."""
    partitions = [
        VendorPartition(*place, next_offset.offset, next_offset.metadata)
        for place, next_offset in offsets.items()
    ]
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    request = ConsumerGroupTopicPartitions(group, partitions)
    altered = admin.alter_consumer_group_offsets([request])
    for partition in altered[group].result().topic_partitions:
        assert partition.error is None
