"""Asks a cluster about topics, offsets and groups, and creates topics.

Never joins a group and never changes what exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from confluent_kafka import (
    Consumer,
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
from worker.kafka import questions
from worker.kafka.config import ClientSettings, common_properties, outsider_properties
from worker.kafka.reader import removed_until
from worker.records import LogBounds, NextOffset, TopicPartition

#: Limit of one question to the cluster, seconds.
TIMEOUT_SECONDS = 10.0

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
    topic_id
        The cluster's own name for it: a topic that is made anew has another.
    """

    name: str
    partition_count: int
    replication_factor: int
    operations: frozenset[str] | None
    config: Mapping[str, str] | None
    topic_id: str = ""


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic to be created; the broker's own defaults hold for what is not named."""

    name: str
    partition_count: int
    replication_factor: int | None
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """A consumer group: its state in the broker's word, its members' instances."""

    state: str
    instances: tuple[str, ...]
    operations: frozenset[str] | None


class Cluster:
    """The cluster and the group of the settings; use it as a context manager.

    Every method raises BrokerFailed where the cluster does not answer in time or
    refuses to, and names what was asked.
    """

    def __init__(
        self, settings: ClientSettings, *, timeout_seconds: float = TIMEOUT_SECONDS
    ):
        self._settings = settings
        self._group = settings.group
        self._timeout_seconds = timeout_seconds
        self._admin = AdminClient(common_properties(settings))
        properties = outsider_properties(settings)
        self._outsider = Consumer(properties)
        self._impatient = Consumer(
            {**properties, "isolation.level": "read_uncommitted"}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._outsider.close()
        self._impatient.close()

    def broker_count(self) -> int:
        """Return the number of brokers that are up: the first thing to ask."""
        with _asking("the list of brokers"):
            return len(self._admin.list_topics(timeout=self._timeout_seconds).brokers)

    def topics(self, names: Sequence[str]) -> dict[str, TopicFacts]:
        """Describe those of the topics that exist, in the given order."""
        wanted = list(dict.fromkeys(names))
        described = self._admin.describe_topics(
            TopicCollection(wanted),
            include_authorized_operations=True,
            request_timeout=self._timeout_seconds,
        )
        found = {n: _unless(described[n], n, _UNKNOWN_TOPIC) for n in wanted}
        return {
            name: TopicFacts(
                name=name,
                partition_count=len(topic.partitions),
                replication_factor=len(topic.partitions[0].replicas),
                operations=_operations(topic),
                config=self._config(name),
                topic_id=str(topic.topic_id),
            )
            for name, topic in found.items()
            if topic is not None
        }

    def _config(self, topic: str) -> Mapping[str, str] | None:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        described = self._admin.describe_configs(
            [resource], request_timeout=self._timeout_seconds
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
            operation_timeout=self._timeout_seconds,
            request_timeout=self._timeout_seconds,
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
            found = self._admin.list_topics(timeout=self._timeout_seconds).topics.get(
                topic
            )
        return [
            TopicPartition(topic, p) for p in sorted(found.partitions if found else ())
        ]

    def bounds(
        self, places: Sequence[TopicPartition]
    ) -> dict[TopicPartition, LogBounds]:
        """Return what each partition holds for a reader of committed records."""
        first = partial(removed_until, self._settings)
        return questions.log_bounds(self._admin, places, first)

    def ends(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where each partition ends for a reader of committed records."""
        return questions.log_ends(self._admin, places)

    def open_ends(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the ends of the logs, commits included that are still open.

        A reader of committed records gets there when those are closed.
        """
        futures = self._admin.list_offsets(
            {VendorPartition(*place): OffsetSpec.latest() for place in places},
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=self._timeout_seconds,
        )
        with _asking("the ends of the logs"):
            return {
                TopicPartition(place.topic, place.partition): future.result().offset
                for place, future in futures.items()
            }

    def offsets_at(
        self, timestamps_ms: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int | None]:
        """Return the first offsets no older than these times, None without any."""
        return questions.offsets_at(self._outsider, timestamps_ms)

    def committed(
        self, places: Sequence[TopicPartition]
    ) -> dict[TopicPartition, NextOffset | None]:
        """Return the group's next offsets; waits for commits that are still open."""
        return questions.committed(self._outsider, places)

    def last_committed(
        self, places: Sequence[TopicPartition]
    ) -> dict[TopicPartition, NextOffset | None]:
        """Return what the group committed last; does not wait for what is open.

        A worker that died for good leaves its commit open for a minute and more.
        """
        return questions.committed(self._impatient, places)

    def group_metadata(self) -> Any:
        """Return what a producer needs to commit for a group without members."""
        return self._outsider.consumer_group_metadata()

    def group(self) -> GroupFacts:
        """Describe the group; one that never was is in state "DEAD"."""
        futures = self._admin.describe_consumer_groups(
            [self._group],
            include_authorized_operations=True,
            request_timeout=self._timeout_seconds,
        )
        with _asking(f"the state of group {self._group}"):
            facts = futures[self._group].result()
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
