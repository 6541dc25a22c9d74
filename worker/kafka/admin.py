"""Asks a cluster about topics, offsets and groups, and creates topics.

Never joins a group and never changes what exists.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
)
from confluent_kafka import TopicPartition as VendorPartition
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from worker.errors import BrokerFailed
from worker.records import NextOffset, TopicPartition

#: Limit of one question to the cluster, seconds.
TIMEOUT_SECONDS = 10.0

#: Pause before a question is asked again whose answer is still in the making, seconds.
_RETRY_SECONDS = 0.1

_UNKNOWN_TOPIC = KafkaError.UNKNOWN_TOPIC_OR_PART
_TOPIC_EXISTS = KafkaError.TOPIC_ALREADY_EXISTS
_REFUSED = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic as the cluster has it.

    Attributes
    ----------
    operations
        What this client may do with the topic, in the broker's words; None where the
        cluster does not say.
    config
        The topic's settings by the broker's names; None where the client may not see
        them.
    """

    name: str
    partition_count: int
    replication_factor: int
    operations: frozenset[str] | None
    config: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic to be created; the broker's own defaults hold for what is not named."""

    name: str
    partition_count: int
    replication_factor: int | None
    config: Mapping[str, str]


class Bounds(NamedTuple):
    """First offset that is kept, and the end of what may be read."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """A consumer group: its state in the broker's word, its members' instances."""

    state: str
    instances: tuple[str, ...]
    operations: frozenset[str] | None


class Cluster:
    """The cluster that `properties` lead to.

    Every method raises BrokerFailed where the cluster does not answer in time or
    refuses to, and names what was asked.
    """

    def __init__(self, properties: Mapping[str, Any]):
        self._admin = AdminClient(dict(properties))

    def broker_count(self) -> int:
        """Return the number of brokers that are up: the first thing to ask."""
        with _asking("the list of brokers"):
            return len(self._admin.list_topics(timeout=TIMEOUT_SECONDS).brokers)

    def topics(self, names: Sequence[str]) -> dict[str, TopicFacts]:
        """Describe those of the topics that exist, in the given order."""
        wanted = list(dict.fromkeys(names))
        described = self._admin.describe_topics(
            TopicCollection(wanted),
            include_authorized_operations=True,
            request_timeout=TIMEOUT_SECONDS,
        )
        found = {n: _unless(described[n], n, _UNKNOWN_TOPIC) for n in wanted}
        return {
            name: TopicFacts(
                name=name,
                partition_count=len(topic.partitions),
                replication_factor=len(topic.partitions[0].replicas),
                operations=_operations(topic),
                config=self._config(name),
            )
            for name, topic in found.items()
            if topic is not None
        }

    def _config(self, topic: str) -> Mapping[str, str] | None:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        described = self._admin.describe_configs(
            [resource], request_timeout=TIMEOUT_SECONDS
        )
        entries = _unless(described[resource], topic, *_REFUSED)
        if entries is None:
            return None
        return {name: entry.value or "" for name, entry in entries.items()}

    def create(self, plan: TopicPlan) -> bool:
        """Create a topic; False where it exists already."""
        topic = NewTopic(
            plan.name,
            num_partitions=plan.partition_count,
            replication_factor=plan.replication_factor or -1,
            config=dict(plan.config),
        )
        created = self._admin.create_topics(
            [topic],
            operation_timeout=TIMEOUT_SECONDS,
            request_timeout=TIMEOUT_SECONDS,
        )
        with _asking(f"the creation of topic {plan.name}"):
            try:
                created[plan.name].result()
            except KafkaException as error:
                if error.args[0].code() != _TOPIC_EXISTS:
                    raise
                return False
        return True

    def partitions(self, topic: str) -> list[TopicPartition]:
        """Return the topic's partitions in order; none where it does not exist."""
        with _asking(f"the partitions of topic {topic}"):
            found = self._admin.list_topics(timeout=TIMEOUT_SECONDS).topics.get(topic)
        return [
            TopicPartition(topic, p) for p in sorted(found.partitions if found else ())
        ]

    def bounds(
        self, places: Iterable[TopicPartition], *, with_open: bool = False
    ) -> dict[TopicPartition, Bounds]:
        """Return where each partition starts and ends.

        Parameters
        ----------
        with_open
            The end includes commits that are still open; a read_committed reader gets
            there when they are closed.
        """
        asked = list(places)
        level = (
            IsolationLevel.READ_UNCOMMITTED
            if with_open
            else IsolationLevel.READ_COMMITTED
        )
        starts = self._offsets(asked, OffsetSpec.earliest(), level)
        ends = self._offsets(asked, OffsetSpec.latest(), level)
        return {place: Bounds(starts[place], ends[place]) for place in asked}

    def offset_at(self, place: TopicPartition, timestamp_ms: int) -> int | None:
        """Return the first offset with that timestamp or a later one, None without."""
        spec = OffsetSpec.for_timestamp(max(timestamp_ms, 0))
        offset = self._offsets([place], spec, IsolationLevel.READ_COMMITTED)[place]
        return offset if offset >= 0 else None

    def _offsets(
        self, places: Sequence[TopicPartition], spec: OffsetSpec, level: IsolationLevel
    ) -> dict[TopicPartition, int]:
        futures = self._admin.list_offsets(
            {VendorPartition(*place): spec for place in places},
            isolation_level=level,
            request_timeout=TIMEOUT_SECONDS,
        )
        offsets = {}
        for partition, future in futures.items():
            place = TopicPartition(partition.topic, partition.partition)
            with _asking(f"the offsets of {place.topic}/{place.partition}"):
                offsets[place] = int(future.result().offset)
        return offsets

    def committed(
        self, group: str, places: Iterable[TopicPartition], *, deadline: float
    ) -> dict[TopicPartition, NextOffset]:
        """Return the group's next offsets; nothing for partitions without a commit.

        Waits, until `deadline` on the monotonic clock, for commits that are still open,
        because they decide what the answer is.
        """
        asked = [VendorPartition(*place) for place in places]
        request = ConsumerGroupTopicPartitions(group, asked)
        while True:
            futures = self._admin.list_consumer_group_offsets(
                [request], require_stable=True, request_timeout=TIMEOUT_SECONDS
            )
            with _asking(f"the committed offsets of group {group}"):
                try:
                    return _group_offsets(futures[group].result().topic_partitions)
                except KafkaException as error:
                    if not _is_unstable(error) or time.monotonic() > deadline:
                        raise
            time.sleep(_RETRY_SECONDS)

    def group(self, group: str) -> GroupFacts:
        """Describe a group; a group that never was is in state "DEAD"."""
        futures = self._admin.describe_consumer_groups(
            [group],
            include_authorized_operations=True,
            request_timeout=TIMEOUT_SECONDS,
        )
        with _asking(f"the state of group {group}"):
            facts = futures[group].result()
        names = (m.group_instance_id or m.member_id for m in facts.members)
        return GroupFacts(facts.state.name, tuple(sorted(names)), _operations(facts))


@contextmanager
def _asking(what: str) -> Iterator[None]:
    """Turn the vendor's errors into ours."""
    try:
        yield
    except KafkaException as error:
        raise BrokerFailed(
            f"the cluster did not give {what}: {error.args[0].str()}"
        ) from error


def _unless(future: Future[Answer], topic: str, *codes: int) -> Answer | None:
    """Return the answer, None where it is an error of those codes."""
    with _asking(f"an answer about topic {topic}"):
        try:
            return future.result()
        except KafkaException as error:
            if error.args[0].code() not in codes:
                raise
            return None


def _operations(described: Any) -> frozenset[str] | None:
    allowed = described.authorized_operations
    return None if allowed is None else frozenset(o.name for o in allowed)


def _group_offsets(
    partitions: Iterable[VendorPartition],
) -> dict[TopicPartition, NextOffset]:
    """Raises KafkaException for a partition whose answer is an error."""
    offsets = {}
    for partition in partitions:
        if partition.error is not None:
            raise KafkaException(partition.error)
        if partition.offset >= 0:
            place = TopicPartition(partition.topic, partition.partition)
            offsets[place] = NextOffset(partition.offset, partition.metadata or "")
    return offsets


def _is_unstable(error: KafkaException) -> bool:
    return bool(error.args[0].code() == KafkaError.UNSTABLE_OFFSET_COMMIT)
