"""Reads whole topics back, as a reader of committed records does."""

from __future__ import annotations

import time
from collections.abc import Iterator

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    Message,
    TopicPartition,
)

from worker.kafka.config import ClientSettings, outsider_properties

#: How long a broker may say nothing, seconds.
_PATIENCE_SECONDS = 60.0


def read_back(clients: ClientSettings, *topics: str) -> Iterator[Message]:
    """Yield every record of the topics, in the order of its partition."""
    consumer = Consumer(
        {
            **outsider_properties(clients),
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
            "fetch.queue.backoff.ms": 5,
        }
    )
    try:
        found = consumer.list_topics(timeout=_PATIENCE_SECONDS).topics
        left = {(topic, p) for topic in topics for p in found[topic].partitions}
        consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in left])
        heard = time.monotonic()
        while left:
            messages = consumer.consume(10_000, 0.05)
            for message in messages:
                if _is_end(message):
                    left.discard((message.topic(), message.partition()))
                else:
                    yield message
            heard = time.monotonic() if messages else heard
            assert time.monotonic() - heard < _PATIENCE_SECONDS, f"no end of {left}"
    finally:
        consumer.close()


def _is_end(message: Message) -> bool:
    error = message.error()
    assert error is None or error.code() == KafkaError._PARTITION_EOF, error
    return error is not None
