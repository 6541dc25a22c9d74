"""Creates the topics that the worker needs, or prints the commands that would."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence

from worker.commands.clients import client_settings, current_spec, topology_of
from worker.config import Settings
from worker.errors import ExitCode, InvalidConfig, StateUnusable
from worker.features import Spec
from worker.kafka.admin import Cluster, TopicFacts, TopicPlan

HELP = "create the topics that are missing, or print the commands that would"

EPILOG = """examples:
  Create what is missing; run it as often as you like:
    fraud-worker topics --partitions 12 --replication-factor 3

  On a cluster where somebody else creates topics, hand over the commands:
    fraud-worker topics --partitions 12 --replication-factor 3 --print

All topics get the same number of partitions, because a score goes to the partition
of its payment. A spec with more than one entity needs further ones: the labels', and
one between two stages, which belongs to the group and is named after it. The number
is final: adding partitions later moves keys away from their history, and the worker
refuses to go on. Choose for the peak rate of the years to come; some 10,000 payments a
second for each partition is a safe figure.

Payments are kept twice as long as the longest window and the allowed lateness reach
back, so that an outage of that length loses nothing. Topics that exist are left as
they are; `fraud-worker check` says what is wrong with them."""

SETTINGS = (
    *("bootstrap_servers", "group", "transactions_topic", "labels_topic"),
    *("scores_topic", "dead_letters_topic", "models_dir", "public_key"),
    *("log_level", "kafka"),
)

#: Partitions of new topics unless told otherwise.
DEFAULT_PARTITIONS = 12

_DAY_MS = 86_400_000

#: Time to notice and repair an outage, whatever the windows are.
_LEAST_RETENTION_MS = 7 * _DAY_MS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--partitions",
        type=int,
        metavar="N",
        help="partitions of each topic that is created (default: those of the "
        f"transactions topic where it exists, else {DEFAULT_PARTITIONS})",
    )
    parser.add_argument(
        "--replication-factor",
        type=int,
        metavar="N",
        help="copies of each partition (default: the broker's default)",
    )
    parser.add_argument(
        "--print",
        action="store_true",
        help="print the commands for kafka-topics.sh and ask no broker",
    )


def main(args: argparse.Namespace, settings: Settings) -> int:
    """Run the command."""
    _check(args)
    spec = current_spec(settings)
    if args.print:
        partitions = args.partitions or DEFAULT_PARTITIONS
        for plan in plans(settings, spec, partitions, args.replication_factor):
            print(command(settings.bootstrap_servers, plan))
        return ExitCode.OK
    with Cluster(client_settings(settings)) as cluster:
        existing = cluster.topics(topology_of(settings, spec).every)
        partitions = shared_partitions(args.partitions, existing, settings)
        for plan in plans(settings, spec, partitions, args.replication_factor):
            created = plan.name not in existing and cluster.create(plan)
            print(_line(plan, created=created))
    return ExitCode.OK


def plans(
    settings: Settings, spec: Spec, partitions: int, replication_factor: int | None
) -> list[TopicPlan]:
    """Return the topics as they should be created."""
    retention_ms = max(2 * needed_retention_ms(spec), _LEAST_RETENTION_MS)
    config = {"cleanup.policy": "delete", "retention.ms": str(retention_ms)}
    return [
        TopicPlan(name, partitions, replication_factor, config)
        for name in topology_of(settings, spec).every
    ]


def needed_retention_ms(spec: Spec) -> int:
    """Return how long payments must be kept for the state to be rebuilt."""
    return spec.retention_ms + spec.schema.max_ahead_ms


def command(bootstrap_servers: str, plan: TopicPlan) -> str:
    """Return the line for a shell that creates the topic unless it exists."""
    words = ["kafka-topics.sh", "--bootstrap-server", bootstrap_servers]
    words += ["--create", "--if-not-exists", "--topic", plan.name]
    words += ["--partitions", str(plan.partition_count)]
    if plan.replication_factor is not None:
        words += ["--replication-factor", str(plan.replication_factor)]
    for name, value in plan.config.items():
        words += ["--config", f"{name}={value}"]
    return shlex.join(words)


def shared_partitions(
    wanted: int | None, existing: Mapping[str, TopicFacts], settings: Settings
) -> int:
    """Return the number that all topics share.

    Raises
    ------
    StateUnusable
        Topics that exist have another number than the rest is to have.
    """
    counts = {name: facts.partition_count for name, facts in existing.items()}
    count = counts.get(settings.transactions_topic, wanted or DEFAULT_PARTITIONS)
    if wanted is not None:
        count = wanted
    different = [f"{name} has {n}" for name, n in counts.items() if n != count]
    if different:
        raise StateUnusable(
            f"all topics must have {count} partitions, but {', '.join(different)}. "
            "The number of a topic in use cannot be changed without moving keys away "
            "from their history: use the same --partitions, or other topics"
        )
    return count


def _line(plan: TopicPlan, *, created: bool) -> str:
    if not created:
        return f"exists   {plan.name}: {plan.partition_count} partitions, left as it is"
    days = int(plan.config["retention.ms"]) / _DAY_MS
    return (
        f"created  {plan.name}: {plan.partition_count} partitions, "
        f"records kept for {days:g} days"
    )


def _check(args: argparse.Namespace) -> None:
    """Raises InvalidConfig."""
    problems: Sequence[str] = [
        f"--{name} {value}: expected a number from 1 on"
        for name, value in (
            ("partitions", args.partitions),
            ("replication-factor", args.replication_factor),
        )
        if value is not None and value < 1
    ]
    if problems:
        raise InvalidConfig(problems, subject="command line")
