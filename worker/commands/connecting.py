"""Takes the worker's place at the broker, after checking that the topics allow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from worker.bundle import VerifiedBundle
from worker.commands.clients import client_settings, topology_of
from worker.commands.first_start import ensure_started
from worker.config import Settings
from worker.errors import StateUnusable
from worker.features import Spec
from worker.kafka.admin import Cluster
from worker.kafka.at_least_once import AtLeastOnceProducer
from worker.kafka.config import MAX_BATCH_BYTES
from worker.kafka.consumer import KafkaConsumer
from worker.kafka.producer import ExactlyOnceProducer
from worker.loop import Producer, Stop
from worker.pipeline import Topology


@dataclass(frozen=True, slots=True)
class Broker:
    """Both halves of the client, and what was learnt while connecting."""

    consumer: KafkaConsumer
    producer: Producer
    partition_count: int
    max_message_bytes: int
    topic_ids: Mapping[str, str]


def connect(settings: Settings, bundle: VerifiedBundle, stop: Stop) -> Broker:
    """Check the topics, start the group if need be, and take this worker's place."""
    clients = client_settings(settings)
    spec = Spec.from_toml(bundle.files["transform.toml"].decode())
    with Cluster(clients) as cluster:
        topology = topology_of(settings, spec)
        partition_count = _check_topics(topology, cluster)
        ensure_started(settings, spec, cluster, topology)
        limits = _limits(settings, topology, cluster)
        topic_ids = _topic_ids(settings, topology, cluster)
    clients = replace(clients, batch_bytes=min(limits.values()))
    consumer = KafkaConsumer(
        clients,
        topics=topology.consumed,
        delay_seconds=settings.commit_interval_seconds,
    )
    producer: Producer
    if settings.guarantee == "exactly-once":
        producer = ExactlyOnceProducer(
            clients, membership=consumer.membership, deadline=stop.deadline
        )
    else:
        producer = AtLeastOnceProducer(
            clients, commit_offsets=consumer.commit, deadline=stop.deadline
        )
    return Broker(
        consumer,
        producer,
        partition_count,
        limits[topology.dead_letters],
        topic_ids,
    )


def _check_topics(topology: Topology, cluster: Cluster) -> int:
    """Refuse topics whose partitions do not match; return how many each has.

    Raises
    ------
    StateUnusable
        A topic is missing, or a record could not go to the partition of its number.
    """
    counts = {topic: len(cluster.partitions(topic)) for topic in topology.every}
    missing = [topic for topic, count in counts.items() if not count]
    if missing:
        raise StateUnusable(
            f"there is no topic {', '.join(missing)}. `fraud-worker topics` creates "
            "what is missing, or prints the commands."
        )
    partition_count = counts[topology.transactions]
    for topic, count in counts.items():
        if count != partition_count:
            raise StateUnusable(
                f"{topic} has {count} partitions and {topology.transactions} "
                f"{partition_count}: an answer goes to the partition of its record, so "
                "the counts must be equal. If partitions were added, keys have moved "
                "away from their history; start a new group on new topics."
            )
    return partition_count


def _limits(settings: Settings, topology: Topology, cluster: Cluster) -> dict[str, int]:
    """Return how many bytes each topic that is written to takes at once."""
    limits = dict.fromkeys(topology.written, MAX_BATCH_BYTES)
    if settings.guarantee == "at-least-once":
        # Brokers without transactions need not know this question either.
        return limits
    for name, facts in cluster.topics(topology.written).items():
        limit = (facts.config or {}).get("max.message.bytes")
        limits[name] = min(limits[name], int(limit)) if limit else limits[name]
    return limits


def _topic_ids(
    settings: Settings, topology: Topology, cluster: Cluster
) -> dict[str, str]:
    """Return what tells a topic from one of the same name that was made anew."""
    if settings.guarantee == "at-least-once":
        return {}
    found = cluster.topics(topology.consumed)
    return {name: facts.topic_id for name, facts in found.items()}
