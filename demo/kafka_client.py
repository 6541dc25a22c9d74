"""What a client asks of a broker before anybody else may: is it ready, topics."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from demo.kafka_jars import BrokerError

#: A broker that is up answers within milliseconds.
_ANSWER_SECONDS = 1.0

#: A coordinator loads its topic before it answers.
_LOAD_SECONDS = 10.0

#: How often a start looks whether the broker is there.
LOOK_SECONDS = 0.02

#: No properties of a topic: the broker's own apply.
DEFAULTS: Mapping[str, str] = MappingProxyType({})

Answer = TypeVar("Answer")


def answers(servers: str) -> bool:
    """Whether a broker tells a client about itself."""
    try:
        return bool(_admin(servers).list_topics(timeout=_ANSWER_SECONDS).brokers)
    except KafkaException:
        return False


def create_topics(
    servers: str, topics: Mapping[str, int], *, config: Mapping[str, str] = DEFAULTS
) -> None:
    """Create topics, name to number of partitions, all with these properties.

    Raises
    ------
    BrokerError
        A topic exists already, or the broker refuses it.
    """
    new = [NewTopic(*topic, 1, config=dict(config)) for topic in topics.items()]
    if not new:
        return
    admin = _admin(servers)  # must outlive what it is asked for
    for name, creation in admin.create_topics(new).items():
        try:
            creation.result()
        except KafkaException as error:
            raise BrokerError(f"topic {name!r}: {error.args[0].str()}") from error


def make_ready(
    servers: str, *, topics: Mapping[str, int], timeout_seconds: float
) -> None:
    """Create the topics that are missing; return when groups and commits work.

    A coordinator is there once it was asked for: without asking, the first group of
    a fresh broker waits for up to four seconds.

    Raises
    ------
    BrokerError
        The broker refuses a topic.
    confluent_kafka.KafkaException
        It does not answer in time.
    """
    admin = _admin(servers)
    deadline = time.monotonic() + timeout_seconds
    there = _insist(lambda: admin.list_topics(timeout=_ANSWER_SECONDS), deadline).topics
    missing = {name: count for name, count in topics.items() if name not in there}
    create_topics(servers, missing)

    def describe_a_group() -> None:
        admin.describe_consumer_groups(["readiness"])["readiness"].result()

    _insist(describe_a_group, deadline)
    producer = Producer(_client(servers) | {"transactional.id": "readiness"})
    _insist(lambda: producer.init_transactions(_LOAD_SECONDS), deadline)


def _insist(ask: Callable[[], Answer], deadline: float) -> Answer:
    """Ask until there is an answer: a broker that has just started declines often."""
    while True:
        try:
            return ask()
        except KafkaException:
            if time.monotonic() > deadline:
                raise
        time.sleep(LOOK_SECONDS)


def _admin(servers: str) -> AdminClient:
    return AdminClient(_client(servers))


def _client(servers: str) -> dict[str, str | int | float | bool]:
    """Configure a client that keeps to itself what it thinks of a slow start."""
    return {"bootstrap.servers": servers, "log_level": 0}
