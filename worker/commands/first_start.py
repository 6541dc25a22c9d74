"""Where a group begins that has never committed: explicit, and for all partitions."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from worker.codec import Decoder
from worker.commands.clients import client_settings, reach_of
from worker.config import Settings
from worker.errors import InvalidConfig, StateUnusable
from worker.features import Spec
from worker.kafka.admin import Cluster
from worker.kafka.reader import LogReader, Span
from worker.kafka.starting import GroupStart
from worker.pipeline import Topology
from worker.records import LogBounds, NextOffset, RecordBatch, TopicPartition
from worker.recovery import (
    Reach,
    check_first_commits,
    start_at_earliest,
    start_at_latest,
)

#: Offsets before the end in which the youngest event is looked for first.
_FIRST_STEP = 64

#: Why a group cannot begin at the ends.
NO_LATEST = (
    "FRAUD_START=latest: expected FRAUD_START=earliest for a spec with more than one "
    "stage, whose later windows begin empty"
)

_LOG = logging.getLogger(__name__)


def ensure_started(
    settings: Settings,
    spec: Spec,
    cluster: Cluster,
    topology: Topology,
) -> None:
    """Commit the group's start if it has none; otherwise do nothing.

    Raises
    ------
    InvalidConfig
        It has none, and nobody said where to start, or not where this spec allows.
    StateUnusable
        It has one for some partitions only, or its inner topics are not its own.
    """
    places = [p for topic in topology.consumed for p in cluster.partitions(topic)]
    with GroupStart(client_settings(settings)) as group:
        if check_first_commits(group.committed(places)):
            return
        if settings.start == "committed":
            raise InvalidConfig([_no_start(settings)])
        bounds = cluster.bounds(places)
        check_inner(topology, bounds)
        if settings.start == "earliest":
            reach = reach_of(spec)
            starts = {p: start_at_earliest(bounds[p], reach) for p in places}
        elif topology.inner:
            raise InvalidConfig([NO_LATEST])
        else:
            starts = _latest(settings, spec, cluster, bounds)
        if group.commit(starts):
            _LOG.info("group_started", extra={"start": settings.start})
        check_first_commits(group.committed(places))


def check_inner(topology: Topology, bounds: Mapping[TopicPartition, LogBounds]) -> None:
    """Check that a group which begins finds its inner topics empty.

    Raises
    ------
    StateUnusable
        They hold what a group of the same name has left behind.
    """
    used = sorted({p.topic for p, log in bounds.items() if log.end})
    old = [topic for topic in used if topic in topology.inner]
    if old:
        raise StateUnusable(
            f"{', '.join(old)}: there are records of an earlier group of this name, "
            "whose commits are gone. Delete these topics and create them again, or use "
            "another FRAUD_GROUP."
        )


def _no_start(settings: Settings) -> str:
    return (
        f"group {settings.group} has never committed on {settings.transactions_topic}: "
        "expected FRAUD_START=earliest to score all that is retained, or "
        "FRAUD_START=latest to score only what comes from now on, after folding the "
        "history that this needs"
    )


def _latest(
    settings: Settings,
    spec: Spec,
    cluster: Cluster,
    bounds: dict[TopicPartition, LogBounds],
) -> dict[TopicPartition, NextOffset]:
    """Start at the ends, with as much history before them as the windows reach back.

    Any event time found near the end is no later than the watermark there, so history
    that is counted back from it begins early enough.
    """
    reach: Reach = reach_of(spec)
    decoder = Decoder(spec.schema)
    needed: dict[TopicPartition, int] = {}
    with LogReader(client_settings(settings)) as reader:
        for place, of_place in bounds.items():
            youngest_ms = _youngest_event_ms(reader, decoder, place, of_place)
            if youngest_ms is not None:
                needed[place] = max(0, reach.first_needed_ms(youngest_ms))
    first_needed = cluster.offsets_at(needed)
    return {
        place: start_at_latest(of_place, reach, first_needed=first_needed.get(place))
        for place, of_place in bounds.items()
    }


def _youngest_event_ms(
    reader: LogReader, decoder: Decoder, place: TopicPartition, bounds: LogBounds
) -> int | None:
    """Return the latest event time near the end, looking further back until found."""
    step = _FIRST_STEP
    while True:
        start = max(bounds.start, bounds.end - step)
        span = Span(place, start, bounds.end)
        times = [_latest_ms(decoder, batch.records) for batch in reader.read(span)]
        found = [time_ms for time_ms in times if time_ms is not None]
        if found or start == bounds.start:
            return max(found, default=None)
        step *= 8


def _latest_ms(decoder: Decoder, records: RecordBatch) -> int | None:
    decoded = decoder.decode(records.keys, records.values, records.timestamps_ms)
    times_ms = decoded.events.event_time_ms
    return int(times_ms.max()) if len(times_ms) else None
