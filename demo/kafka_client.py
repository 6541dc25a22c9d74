"""What a client asks of a broker before anybody else may: is it ready, topics."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from demo.kafka_jars import BrokerError

#: A broker that is up answers within milliseconds.
_ANSWER_SECONDS = 1.0

#: How often a start looks whether the broker is there.
LOOK_SECONDS = 0.02

#: No properties of a topic: the broker's own apply.
DEFAULTS: Mapping[str, str] = MappingProxyType({})


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


def create_missing_topics(servers: str, topics: Mapping[str, int]) -> None:
    """Create those of the topics that are not there yet."""
    there = _admin(servers).list_topics(timeout=_ANSWER_SECONDS).topics
    missing = {name: count for name, count in topics.items() if name not in there}
    create_topics(servers, missing)


def await_coordinators(servers: str, *, timeout_seconds: float) -> None:
    """Wait for those of groups and of commits; asking makes their topics.

    Without this, the first group of a fresh broker waits for up to four seconds.

    Raises
    ------
    confluent_kafka.KafkaException
        They do not answer in time.
    """
    deadline = time.monotonic() + timeout_seconds
    while not _describes_groups(servers, deadline):
        time.sleep(LOOK_SECONDS)
    producer = Producer(_client(servers) | {"transactional.id": "readiness"})
    producer.init_transactions(max(1.0, deadline - time.monotonic()))


def _describes_groups(servers: str, deadline: float) -> bool:
    admin = _admin(servers)
    try:
        admin.describe_consumer_groups(["readiness"])["readiness"].result()
    except KafkaException:
        if time.monotonic() > deadline:
            raise
        return False
    return True


def _admin(servers: str) -> AdminClient:
    return AdminClient(_client(servers))


def _client(servers: str) -> dict[str, str | int | float | bool]:
    """Configure a client that keeps to itself what it thinks of a slow start."""
    return {"bootstrap.servers": servers, "log_level": 0}
