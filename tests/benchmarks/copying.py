"""The least that exactly-once costs with this client: every record copied, no more.

    python -m tests.benchmarks.copying

For the benchmarks only: what a worker takes more than this is its own. With a worker's
settings, the client's included, it polls, produces each payment to the scores of the
same partition, and commits both together; no state, no features, no score, no metrics,
nothing checked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from worker.kafka.config import ClientSettings, commit_properties, consumer_properties

#: As many as the worker takes at once.
_MAX_RECORDS = 32_768

_SECONDS = 60.0


def main() -> None:
    """Copy until the process is ended."""
    servers, group = os.environ["FRAUD_BOOTSTRAP_SERVERS"], os.environ["FRAUD_GROUP"]
    source = os.environ["FRAUD_TRANSACTIONS_TOPIC"]
    scores = os.environ["FRAUD_SCORES_TOPIC"]
    settings = ClientSettings(servers, group, "0")
    consumer = Consumer(
        {**consumer_properties(settings), "auto.offset.reset": "earliest"}
    )
    producer = Producer(commit_properties(settings))
    producer.init_transactions(_SECONDS)
    consumer.subscribe([source])
    for messages in _batches(consumer):
        producer.begin_transaction()
        produce, ends = producer.produce, dict[int, int]()
        for message in messages:
            partition = message.partition() or 0
            ends[partition] = (message.offset() or 0) + 1
            produce(scores, message.value(), message.key(), partition)
        producer.send_offsets_to_transaction(
            [TopicPartition(source, p, end) for p, end in ends.items()],
            consumer.consumer_group_metadata(),
            _SECONDS,
        )
        producer.commit_transaction(_SECONDS)
        producer.poll(0)


def _batches(consumer: Consumer) -> Iterator[list[Message]]:
    """Yield what is there, as soon as there is something."""
    while True:
        first = consumer.poll(0.1)
        if first is None:
            continue
        found = [first, *consumer.consume(_MAX_RECORDS, 0)]
        records = [message for message in found if message.error() is None]
        if records:
            yield records


if __name__ == "__main__":
    main()
