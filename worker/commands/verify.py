"""Proves, or disproves, that every payment was answered once and rightly."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence

from worker.audit.differences import InForce
from worker.audit.report import AuditReport
from worker.audit.scope import Scope, scope_of
from worker.commands.clients import (
    client_settings,
    current_spec,
    reach_of,
    topology_of,
)
from worker.commands.since import begun_at, moment
from worker.commands.staged_audit import StagedAudit
from worker.commands.stream_audit import Models, StreamAudit
from worker.config import Settings
from worker.errors import ExitCode, InvalidConfig, StateUnusable
from worker.kafka.admin import Cluster
from worker.kafka.reader import LogReader, Span
from worker.pipeline import Topology
from worker.records import NextOffset, TopicPartition

HELP = "audit a stream: every payment answered once, in order, with the right content"

EPILOG = """examples:
  After a test, a failover or an upgrade; waits at most a minute for the workers:
    fraud-worker verify

  As a gate in a pipeline: exit code 0 only if nothing at all was found:
    fraud-worker verify --timeout 300 --json > audit.json

  Under FRAUD_GUARANTEE=at-least-once, where a crash repeats scores:
    fraud-worker verify --allow-duplicates

  Scores from before the threshold was lowered from 0.7 are right, too:
    fraud-worker verify --also-threshold 0.7

  Only what came since an upgrade; what came before it is folded, but not audited:
    fraud-worker verify --since 2018-08-31T14:00:00Z

  Whoever was let through as control group, it was one flagged payment in twenty:
    fraud-worker verify --control-group-share 0.05

The audit fixes the end of the transactions topic, waits until the group has committed
up to there, and then reads payments, scores and dead letters as any consumer of
committed records would. It folds the payments once more, from where the group began,
by the code that trained the model, and compares each score, its features' digest, its
decision, its flags and its place in the order with that; and each dead letter with the
record that was rejected. It joins no group, writes nothing, and needs only to read.

  missing       an answer that does not exist       pending     not committed in time
  duplicated    a second answer to one payment      unexpected  an answer to nothing
  out of order  an answer behind a later one's      unverifiable  of a model that is
  different     an answer with a wrong content                  not in the directory

Exit code 0: what was audited was found right. 1: it was not, and the report says what.
Payments are named by their coordinates (`transactions/3/8412`), never by content;
`fraud-worker replay transactions/3/8412` shows one of them."""

SETTINGS = (
    *("bootstrap_servers", "group", "transactions_topic", "labels_topic"),
    *(
        "scores_topic",
        "dead_letters_topic",
        "models_dir",
        "public_key",
        "threshold",
        "max_keys",
        "max_events",
    ),
    *("log_level", "kafka"),
)

#: Pause between two looks at what the group has committed, seconds.
_LOOK_SECONDS = 0.2

#: How often waiting is told, seconds.
_TELL_SECONDS = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--timeout",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long to wait for the workers to commit (default: 60)",
    )
    parser.add_argument(
        "--examples",
        type=int,
        default=10,
        metavar="N",
        help="how many findings to show (default: 10)",
    )
    parser.add_argument(
        "--allow-duplicates",
        action="store_true",
        help="report repeated answers, but do not fail for them",
    )
    _add_what_was_in_force(parser)
    parser.add_argument(
        "--since",
        type=moment,
        metavar="TIME",
        help="audit only records from this time on, by their timestamps (RFC 3339)",
    )
    parser.add_argument("--json", action="store_true", help="the report as JSON")


def _add_what_was_in_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--also-threshold",
        type=float,
        action="append",
        default=[],
        metavar="T",
        help="a threshold that was in force earlier; may be repeated",
    )
    parser.add_argument(
        "--control-group-share",
        type=float,
        action="append",
        default=[],
        metavar="S",
        help="a share of the control group that was in force, 0 if there was none; may "
        "be repeated (default: the one that each score names)",
    )


def main(args: argparse.Namespace, settings: Settings) -> int:
    """Run the command: 0 if nothing was found, else 1."""
    _check(args)
    began = time.monotonic()
    client, report = client_settings(settings), AuditReport(args.examples)
    with Cluster(client) as cluster:
        topology = topology_of(settings, current_spec(settings))
        scopes = _scopes(settings, topology, cluster, deadline=began + args.timeout)
        if args.since is not None:
            with LogReader(client) as reader:
                begun = begun_at(args.since, scopes, topology, cluster, reader)
                scopes = list(begun)
        for scope in scopes:
            report.notices += scope.notices
        models, in_force = Models(settings), _in_force(args, settings)
        if topology.inner:
            staged = StagedAudit(
                settings, topology, models=models, in_force=in_force, say=_say
            )
            staged.run(client, cluster, scopes, report)
        else:
            audit = StreamAudit(
                settings,
                client,
                cluster,
                models=models,
                in_force=in_force,
                say=_say,
            )
            audit.run(scopes, report)
    is_clean = report.is_clean(allow_duplicates=args.allow_duplicates)
    seconds = round(time.monotonic() - began, 3)
    if args.json:
        facts = {"clean": is_clean, "seconds": seconds, **report.as_dict()}
        print(json.dumps(facts, indent=2))
    else:
        _say(f"audited {len(scopes)} partitions in {seconds:.1f} s")
        print("\n".join(report.as_lines()))
    return ExitCode.OK if is_clean else ExitCode.CRASHED


def _in_force(args: argparse.Namespace, settings: Settings) -> InForce:
    """Return what was set; of the thresholds, the one in force now first."""
    now = [] if settings.threshold is None else [settings.threshold]
    shares = args.control_group_share
    return InForce((*now, *args.also_threshold), tuple(shares) if shares else None)


def _scopes(
    settings: Settings, topology: Topology, cluster: Cluster, *, deadline: float
) -> list[Scope]:
    """Fix what is to be audited, topic by topic, and wait for the group to get there.

    What a stage reads is complete once the one before has committed.
    """
    _check_topics(topology, cluster)
    outside = [t for t in topology.consumed if t not in topology.inner]
    scopes = _scopes_of(outside, settings, cluster, deadline=deadline)
    for topic in topology.inner:
        scopes += _scopes_of([topic], settings, cluster, deadline=deadline)
    return scopes


def _scopes_of(
    topics: Sequence[str], settings: Settings, cluster: Cluster, *, deadline: float
) -> list[Scope]:
    places = [place for topic in topics for place in cluster.partitions(topic)]
    bounds = cluster.bounds(places)
    with LogReader(client_settings(settings)) as reader:
        ends = {}
        for place, log in bounds.items():
            span = Span(place, log.start, log.end)
            ends[place] = reader.last_record_end(span)
            bounds[place] = log._replace(removed_until_ms=reader.removed_until(span))
    committed = _await_commits(cluster, ends, deadline=deadline)
    reach = reach_of(current_spec(settings))
    return [scope_of(p, bounds[p], committed[p], reach) for p in places]


def _check_topics(topology: Topology, cluster: Cluster) -> None:
    """Raises StateUnusable where a payment's answer has no partition to be on."""
    count = len(cluster.partitions(topology.transactions))
    for topic in topology.every:
        found = len(cluster.partitions(topic))
        if found < count or not count:
            raise StateUnusable(
                f"{topology.transactions} has {count} partitions and {topic} has "
                f"{found}: there is nothing to audit; see `fraud-worker check`"
            )


def _await_commits(
    cluster: Cluster, ends: Mapping[TopicPartition, int], *, deadline: float
) -> dict[TopicPartition, NextOffset | None]:
    """Return what the group committed, once it is all or time is up."""
    told = time.monotonic()
    while True:
        committed = cluster.last_committed(list(ends))
        behind = [p for p, end in ends.items() if _offset(committed[p]) < end]
        now = time.monotonic()
        if not behind or now >= deadline:
            return committed
        if now - told > _TELL_SECONDS:
            told = now
            _say(f"waiting for the group to commit in {len(behind)} partitions")
        time.sleep(_LOOK_SECONDS)


def _offset(committed: NextOffset | None) -> int:
    return -1 if committed is None else committed.offset


def _say(text: str) -> None:
    print(f"verify: {text}", file=sys.stderr, flush=True)


def _check(args: argparse.Namespace) -> None:
    """Raises InvalidConfig."""
    problems = [
        f"--{name} {value}: expected 0 or more"
        for name, value in (("timeout", args.timeout), ("examples", args.examples))
        if value < 0
    ]
    problems += [
        f"--{name} {value}: expected a number from 0 to 1"
        for name, values in (
            ("also-threshold", args.also_threshold),
            ("control-group-share", args.control_group_share),
        )
        for value in values
        if not 0 <= value <= 1
    ]
    if problems:
        raise InvalidConfig(problems, subject="command line")
