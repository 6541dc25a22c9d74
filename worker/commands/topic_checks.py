"""Whether the topics are such that every payment can be answered rightly. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from worker.codec import MAX_VALUE_BYTES
from worker.commands.findings import Finding, fail, ok, warn
from worker.commands.samples import Rate
from worker.errors import ExitCode
from worker.kafka.admin import TopicFacts
from worker.kafka.config import MAX_BATCH_BYTES
from worker.pipeline import Topology

_DAY_MS = 86_400_000

#: What a record may take that is handed on, bytes: the largest payment, its key and
#: features.
_HANDED_ON_BYTES = 2 * MAX_VALUE_BYTES


@dataclass(frozen=True, slots=True)
class Wanted:
    """The topics of a group, and how long what its windows see must be kept."""

    topology: Topology
    retention_ms: int

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, the input first."""
        return self.topology.every

    def operations(self, topic: str) -> tuple[str, ...]:
        """Return what a worker does with a topic, in the broker's words."""
        if topic in self.topology.inner:
            return "READ", "WRITE"
        return ("READ",) if topic in self.topology.consumed else ("WRITE",)


def check_topics(
    wanted: Wanted, found: Mapping[str, TopicFacts], rates: Mapping[str, Rate]
) -> Iterator[Finding]:
    """Yield what there is to say about each topic, and about all together.

    Parameters
    ----------
    rates
        How much comes into the topics, as far as that is known.
    """
    for name in wanted.names:
        if name not in found:
            yield fail(name, "does not exist: run `fraud-worker topics`", _STATE)
            continue
        facts = found[name]
        findings = list(_check_topic(wanted, facts))
        if name in wanted.topology.stages:
            findings += _check_retention(wanted, facts, rates.get(name))
        elif name in wanted.topology.consumed:
            findings += _check_time_to_read(facts)
        if all(finding.code is ExitCode.OK for finding in findings):
            text = f"{facts.partition_count} partitions"
            yield ok(name, f"{text}, {facts.replication_factor} copies of each")
        yield from findings
    yield from _check_counts(wanted, found)
    yield from _check_sizes(wanted, found)


_STATE = ExitCode.STATE


def _check_topic(wanted: Wanted, facts: TopicFacts) -> Iterator[Finding]:
    for needed in wanted.operations(facts.name):
        if facts.operations is not None and needed not in facts.operations:
            yield fail(
                facts.name,
                f"this client may not {needed.lower()}: add an ACL that allows "
                f"{needed}",
                ExitCode.BROKER,
            )
    config = facts.config
    if config is None:
        yield warn(
            facts.name,
            "its settings are hidden from this client, so retention and clean-up were "
            "not checked: an ACL that allows DESCRIBE_CONFIGS would show them",
        )
        return
    policy = config.get("cleanup.policy", "delete")
    if policy != "delete":
        lost = _lost_by_compaction(wanted.topology, facts.name)
        text = f"cleanup.policy is {policy}: compaction removes records, so {lost}"
        remedy = _alter(facts.name, "cleanup.policy", "delete")
        yield fail(facts.name, f"{text}\n{remedy}", _STATE)
    if config.get("unclean.leader.election.enable") == "true":
        yield warn(
            facts.name,
            "unclean.leader.election.enable is true: a broker that lags may become the "
            "leader, and committed records vanish",
        )
    if facts.replication_factor > 1 and config.get("min.insync.replicas") == "1":
        yield warn(
            facts.name,
            "min.insync.replicas is 1: what one broker alone has acknowledged is lost "
            "with it",
        )


def _lost_by_compaction(topology: Topology, topic: str) -> str:
    if topic in topology.stages:
        return "windows cannot be rebuilt"
    is_read = topic in topology.consumed
    return "some are lost before they are read" if is_read else "answers are lost"


def _check_retention(
    wanted: Wanted, facts: TopicFacts, rate: Rate | None
) -> Iterator[Finding]:
    """Compare how long a stage's log is kept with how far windows reach back."""
    if facts.config is None:
        return
    needed_days = wanted.retention_ms / _DAY_MS
    needs = f"windows and lateness reach {needed_days:.3g} days back"
    cost = f"; {rate.cost(wanted.retention_ms)}" if rate else ""
    limit_bytes = int(facts.config.get("retention.bytes", "-1"))
    if limit_bytes >= 0:
        yield warn(
            facts.name,
            f"retention.bytes is {limit_bytes} a partition, which may remove records "
            f"that are still needed: {needs}{cost}",
        )
    kept_ms = int(facts.config.get("retention.ms", "-1"))
    if kept_ms < 0:
        yield ok(facts.name, f"records are kept for ever; {needs}{cost}")
        return
    kept = f"records are kept for {kept_ms / _DAY_MS:.3g} days"
    if kept_ms < wanted.retention_ms:
        remedy = _alter(facts.name, "retention.ms", str(2 * wanted.retention_ms))
        yield fail(facts.name, f"{kept}, but {needs}{cost}\n{remedy}", _STATE)
    elif kept_ms < wanted.retention_ms + _DAY_MS:
        yield warn(
            facts.name,
            f"{kept}, {needs}{cost}: an outage of a day could not be made up for",
        )
    else:
        yield ok(facts.name, f"{kept}; {needs}{cost}")


def _check_time_to_read(facts: TopicFacts) -> Iterator[Finding]:
    """Say how long there is to read what no state is ever rebuilt from."""
    kept_ms = int((facts.config or {}).get("retention.ms", "-1"))
    if 0 <= kept_ms < _DAY_MS:
        yield warn(
            facts.name,
            f"records are kept for {kept_ms / _DAY_MS:.3g} days: an outage of a day "
            "could not be made up for",
        )


def _check_counts(wanted: Wanted, found: Mapping[str, TopicFacts]) -> Iterator[Finding]:
    counts = {
        name: found[name].partition_count for name in wanted.names if name in found
    }
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        yield fail(
            "partitions",
            f"the topics differ in their number ({listed}), but an answer goes to the "
            "partition of its payment, and a worker has the same ones of all topics: "
            "use topics with equal numbers",
            _STATE,
        )


def _check_sizes(wanted: Wanted, found: Mapping[str, TopicFacts]) -> Iterator[Finding]:
    """Compare how large records may be on the way from one topic to the next."""
    configs = {name: facts.config or {} for name, facts in found.items()}
    limits = {
        name: int(config["max.message.bytes"])
        for name, config in configs.items()
        if "max.message.bytes" in config
    }
    topology = wanted.topology
    for name in topology.inner:
        if name in limits and limits[name] < _HANDED_ON_BYTES:
            remedy = _alter(name, "max.message.bytes", str(MAX_BATCH_BYTES))
            text = (
                f"max.message.bytes is {limits[name]}: the largest payments do not fit"
            )
            yield fail(
                name, f"{text}, and none behind them is answered\n{remedy}", _STATE
            )
    taken, copied = topology.transactions, topology.dead_letters
    if {taken, copied} <= limits.keys() and limits[copied] < min(
        limits[taken], MAX_BATCH_BYTES
    ):
        remedy = _alter(copied, "max.message.bytes", str(limits[taken]))
        yield warn(
            copied,
            f"max.message.bytes is {limits[copied]}, that of {taken} {limits[taken]}: "
            f"a dead letter that does not fit goes without its value\n{remedy}",
        )


def _alter(topic: str, name: str, value: str) -> str:
    """Return the command that changes a topic's setting, indented."""
    return (
        "      kafka-configs.sh --bootstrap-server ... --alter --entity-type topics "
        f"--entity-name {topic} --add-config {name}={value}"
    )
