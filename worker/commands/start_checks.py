"""Where a worker of a group would go on in each topic, or why it could not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from worker.commands.clients import reach_of
from worker.commands.findings import Finding, failure, ok, warn
from worker.commands.first_start import NO_LATEST, check_inner
from worker.config import Settings
from worker.errors import Fatal, InvalidConfig
from worker.features import Spec
from worker.kafka.admin import Cluster
from worker.pipeline import Topology
from worker.records import LogBounds, NextOffset, TopicPartition
from worker.recovery import check_first_commits, needed_since_ms, plan_start


def check_start(
    settings: Settings,
    spec: Spec,
    topology: Topology,
    cluster: Cluster,
    bounds: Mapping[TopicPartition, LogBounds],
) -> Iterator[Finding]:
    """Yield a finding for each topic that is read, or one for all of them.

    Parameters
    ----------
    bounds
        Of all partitions of these topics.
    """
    group = f"group {settings.group}"
    committed = cluster.last_committed(list(bounds))
    try:
        has_started = check_first_commits(committed)
        if not has_started:
            check_inner(topology, bounds)
            yield _first_start(settings, topology, group)
    except Fatal as fatal:
        yield failure(group, fatal)
        return
    if not has_started:
        return
    for topic in topology.consumed:
        where = f"{topic}: " if topology.followers else ""
        of_topic = {p: log for p, log in bounds.items() if p.topic == topic}
        try:
            replayed, behind = _start_of(
                settings, spec, topology, cluster, of_topic, committed
            )
        except Fatal as fatal:
            yield failure(group, fatal)
        else:
            yield ok(
                group,
                f"{where}would go on with at most {behind} records to answer, after "
                f"folding at most {replayed} earlier ones",
            )


def _start_of(
    settings: Settings,
    spec: Spec,
    topology: Topology,
    cluster: Cluster,
    bounds: Mapping[TopicPartition, LogBounds],
    committed: Mapping[TopicPartition, NextOffset | None],
) -> tuple[int, int]:
    """Return how many offsets would be replayed, and how many are to be answered.

    Raises
    ------
    StateUnusable
        The log does not allow the right state to be built.
    """
    reach = reach_of(spec)
    commits = {place: committed[place] for place in bounds}
    # What leaves nothing behind is taken up where it was left.
    taken_up = {
        p: c.offset for p, c in commits.items() if c and p.topic in topology.stateless
    }
    needed = cluster.offsets_at(
        {
            p: needed_since_ms(c, p, reach)
            for p, c in commits.items()
            if c is not None and p not in taken_up
        }
    )
    plans = [
        plan_start(
            place,
            commits[place],
            log,
            first_needed=needed.get(place),
            reach=reach,
            cold_start=settings.cold_start,
            snapshot_offset=taken_up.get(place),
        )
        for place, log in bounds.items()
    ]
    replayed = sum(plan.live_from - plan.replay_from for plan in plans)
    ends = [log.end for log in bounds.values()]
    behind = sum(e - p.live_from for e, p in zip(ends, plans, strict=True))
    return replayed, behind


def _first_start(settings: Settings, topology: Topology, group: str) -> Finding:
    text = "has never committed; the first start "
    if settings.start == "committed":
        remedy = "needs FRAUD_START=earliest to score what is retained"
        if not topology.inner:
            remedy += ", or =latest"
        return warn(group, text + remedy)
    if settings.start == "latest" and topology.inner:
        return failure(group, InvalidConfig([NO_LATEST]))
    return ok(group, f"{text}takes FRAUD_START={settings.start}")
