"""The settings of the clients on which the guarantee and the latency rest.

Each that differs from the client's default says why; the figures are measurements on
Kafka 4.1. What a person may add is checked where settings are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from worker.kafka.client_log import ClientLog

#: Longest silence of a member before its partitions move, seconds: longer than a
#: broker takes to restart, or a static member would be fenced by the outage.
SESSION_SECONDS = 45.0

#: Longest time between two polls before the group takes the partitions away, seconds.
MAX_POLL_INTERVAL_SECONDS = 60.0

#: Longest time a commit may stay open, seconds: longer than a broker takes to restart.
#: A worker that comes back under its name closes its open commit at once.
COMMIT_TIMEOUT_SECONDS = 60.0

#: Longest wait for the answer to one request, seconds: the client's default, named
#: because a commit is judged by it.
REQUEST_TIMEOUT_SECONDS = 60.0

#: Largest batch, and largest record, that the client produces, bytes; by its default.
MAX_BATCH_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Which cluster, which group, and which place in it.

    Attributes
    ----------
    instance
        Stable name of this worker's slot: its successor continues at once by it.
    is_static
        The partitions stay with the slot while its worker restarts.
    batch_bytes
        The largest batch of records that may be produced at once: a topic refuses a
        whole batch above its limit, however small its records.
    extra
        Properties of the client that a person has added.
    """

    bootstrap_servers: str
    group: str
    instance: str
    is_static: bool = True
    batch_bytes: int = MAX_BATCH_BYTES
    extra: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def slot(self) -> str:
        """The name under which the broker knows this worker's place."""
        return f"{self.group}-{self.instance}"


def common_properties(settings: ClientSettings) -> dict[str, Any]:
    """Return what every client needs to reach the cluster."""
    return {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": settings.slot,
        # The default forgets a broker that is down and then hung 7 of 9 workers.
        "metadata.recovery.strategy": "none",
        # A restarted broker is found within half a second, not ten.
        "reconnect.backoff.max.ms": 500,
        "logger": ClientLog(),
        **settings.extra,
    }


def asking_properties(settings: ClientSettings) -> dict[str, Any]:
    """Return the properties of a client that only asks where partitions end."""
    return {
        # It asks leaders that it remembers, and neither a broker that says they are the
        # leaders of an earlier epoch nor any other refusal makes it look again: after a
        # broker's restart it would get no answer for five minutes.
        "metadata.max.age.ms": 5_000,
        "topic.metadata.refresh.interval.ms": 4_000,
        **common_properties(settings),
    }


def outsider_properties(settings: ClientSettings) -> dict[str, Any]:
    """Return the properties of a consumer that reads the group but never joins it."""
    return {
        **common_properties(settings),
        "group.id": settings.group,
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
    }


def consumer_properties(settings: ClientSettings) -> dict[str, Any]:
    """Return the properties of the worker's consumer."""
    member = {"group.instance.id": settings.slot} if settings.is_static else {}
    return {
        # Small and quick: with the default back-off of a second a prefetch of this
        # size drains seven times slower.
        "fetch.wait.max.ms": 50,
        "queued.min.messages": 20_000,
        "queued.max.messages.kbytes": 32_768,
        "fetch.queue.backoff.ms": 10,
        # Decides how fast partitions move when a worker joins or leaves.
        "heartbeat.interval.ms": 500,
        "session.timeout.ms": int(SESSION_SECONDS * 1000),
        "max.poll.interval.ms": int(MAX_POLL_INTERVAL_SECONDS * 1000),
        **outsider_properties(settings),
        **member,
        # The newer protocol refuses a killed static member for 45 seconds.
        "group.protocol": "classic",
        # Only partitions that move lose their state.
        "partition.assignment.strategy": "cooperative-sticky",
        "enable.auto.offset.store": False,
        # Markers take offsets: only the end itself tells that all has been read.
        "enable.partition.eof": True,
        # So often the client asks where partitions start: what retention has left.
        "statistics.interval.ms": 5_000,
    }


def producer_properties(settings: ClientSettings) -> dict[str, Any]:
    """Return what both kinds of producer share."""
    return {
        # A commit right after another waits for this whenever the broker is not done
        # with the first: the default of 100 ms costs just that.
        "retry.backoff.ms": 1,
        "retry.backoff.max.ms": 100,
        # A commit flushes anyway; waiting for company only delays it.
        "linger.ms": 0,
        "compression.type": "lz4",
        "batch.size": settings.batch_bytes,
        # Several of the largest batches, so that produce() need not wait.
        "queue.buffering.max.messages": 500_000,
        **common_properties(settings),
        "enable.idempotence": True,
        # All workers, and Java's producers, must agree where a key belongs.
        "partitioner": "murmur2_random",
    }


def commit_properties(settings: ClientSettings) -> dict[str, Any]:
    """Return the properties of the producer that commits scores with offsets."""
    return {
        "transaction.timeout.ms": int(COMMIT_TIMEOUT_SECONDS * 1000),
        "socket.timeout.ms": int(REQUEST_TIMEOUT_SECONDS * 1000),
        **producer_properties(settings),
        "transactional.id": settings.slot,
    }
