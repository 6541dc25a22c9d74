"""Reads a worker's metrics as Prometheus would, and tells what changed in between."""

from __future__ import annotations

import http.client
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

from prometheus_client.parser import text_string_to_metric_families

#: A worker answers within milliseconds.
_TIMEOUT_SECONDS = 2.0

#: Has a series for each topic that is read, from the start.
_CONSUMED = "fraud_events_consumed_total"


@dataclass(frozen=True, slots=True)
class Scrape:
    """What a worker told, and when.

    Attributes
    ----------
    sums
        Of all series of each name.
    topics
        How many topics it reads, of each of which it has the same partitions.
    """

    at: float
    sums: Mapping[str, float]
    topics: int = 1

    @classmethod
    def of(cls, at: float, text: str) -> Scrape:
        """Read the text that a worker serves."""
        topics, sums = 0, defaultdict[str, float](float)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                topics += sample.name == _CONSUMED
                sums[sample.name] += sample.value
        return cls(at, sums, max(1, topics))

    def __getitem__(self, name: str) -> float:
        return self.sums.get(name, 0.0)


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """How a worker does, between two scrapes.

    Attributes
    ----------
    partitions
        Of the payments.
    cpu
        Share of one core.
    records_a_commit
        nan where nothing was committed.
    """

    partitions: int
    commits_a_second: float
    records_a_commit: float
    cpu: float
    memory_megabytes: float


def scrape(port: int) -> Scrape | None:
    """Read the metrics on this machine's port; None where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return Scrape.of(monotonic(), text)


def figures(old: Scrape, new: Scrape) -> WorkerFigures:
    """Compare two scrapes of one worker."""
    seconds = max(new.at - old.at, 1e-3)

    def growth(name: str) -> float:
        return new[name] - old[name]

    commits = growth("fraud_commits_total")
    records = growth(_CONSUMED)
    return WorkerFigures(
        partitions=int(new["fraud_kafka_assigned_partitions"]) // new.topics,
        commits_a_second=commits / seconds,
        records_a_commit=records / commits if commits else float("nan"),
        cpu=growth("process_cpu_seconds_total") / seconds,
        memory_megabytes=new["process_resident_memory_bytes"] / 1e6,
    )
