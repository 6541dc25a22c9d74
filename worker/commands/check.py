"""Looks at everything that the worker rests on, without consuming anything."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence

from worker.commands import samples
from worker.commands.clients import client_settings, open_bundle, reach_of
from worker.commands.findings import (
    Finding,
    exit_code,
    fail,
    failure,
    ok,
    warn,
)
from worker.commands.topic_checks import Wanted, check_topics
from worker.commands.topics import needed_retention_ms
from worker.config import Settings
from worker.errors import BrokerFailed, ExitCode, Fatal, InvalidConfig
from worker.kafka.admin import TIMEOUT_SECONDS, Cluster
from worker.kafka.config import ClientSettings
from worker.kafka.reader import LogReader
from worker.records import LogBounds, NextOffset, TopicPartition
from worker.recovery import check_first_commits, needed_since_ms, plan_start
from worker.scoring import LoadedModel, load_model

HELP = "check settings, bundle, broker, topics and keys, without consuming"

EPILOG = """examples:
  Before the first start, and after every change of topics or settings:
    fraud-worker check --bootstrap-servers broker:9092

  In a deployment: the exit code is that with which the worker would stop:
    fraud-worker check && fraud-worker run

  Look at more of the youngest payments, or only at what needs no broker:
    fraud-worker check --sample 200000
    fraud-worker check --offline

Each line says ok, warn or fail, what it is about, what was found, and what to do. It
joins no group, commits nothing, and writes nothing. Keys and payments that it samples
are counted, never shown."""

_DEFAULT_SAMPLE = 20_000

#: Addresses that need no encryption.
_LOCAL = ("localhost", "127.", "[::1]")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--offline", action="store_true", help="settings and bundle only, no broker"
    )
    parser.add_argument(
        "--sample",
        type=int,
        default=_DEFAULT_SAMPLE,
        metavar="N",
        help=f"how many payments to look at (default: {_DEFAULT_SAMPLE})",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=TIMEOUT_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for each answer (default: {TIMEOUT_SECONDS:g})",
    )
    parser.add_argument("--json", action="store_true", help="the findings as JSON")


def main(args: argparse.Namespace, settings: Settings) -> int:
    """Run the command: the code of the first failure, 0 without any."""
    problems = [
        f"--{name} {value}: expected a number {expected}"
        for name, value, is_fine, expected in (
            ("sample", args.sample, args.sample >= 1, "from 1 on"),
            ("timeout", args.timeout, args.timeout > 0, "above 0"),
        )
        if not is_fine
    ]
    if problems:
        raise InvalidConfig(problems, subject="command line")
    findings = []
    for finding in _findings(args, settings):
        findings.append(finding)
        if not args.json:
            print(finding, flush=True)
    if args.json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    return exit_code(findings)


def _findings(args: argparse.Namespace, settings: Settings) -> Iterator[Finding]:
    yield from _check_settings(settings)
    try:
        bundle = open_bundle(settings)
        model = load_model(bundle)
    except Fatal as fatal:
        yield failure("bundle", fatal)
        return
    reach_days = model.spec.retention_ms / 86_400_000
    yield ok(
        "bundle",
        f"{model.version}, {model.scorer.engine}, {len(model.spec.feature_names)} "
        f"features of spec {model.spec.name}, reaching {reach_days:.3g} days back; it "
        "gives its golden scores here",
    )
    for difference in bundle.differences:
        yield warn("bundle", difference)
    if not args.offline:
        yield from _check_cluster(args, settings, model)


def _check_settings(settings: Settings) -> Iterator[Finding]:
    yield ok("settings", f"group {settings.group}, instance {settings.instance}")
    protocol = str(settings.kafka.get("security.protocol", "plaintext")).lower()
    servers = settings.bootstrap_servers.split(",")
    if protocol in {"plaintext", "sasl_plaintext"} and not all(
        server.startswith(_LOCAL) for server in servers
    ):
        yield warn(
            "settings",
            "payments travel unencrypted: set FRAUD_KAFKA_SECURITY_PROTOCOL=sasl_ssl "
            "and what your brokers ask for",
        )
    if settings.guarantee == "at-least-once":
        yield warn("settings", "FRAUD_GUARANTEE=at-least-once: a crash repeats scores")


def _check_cluster(
    args: argparse.Namespace, settings: Settings, model: LoadedModel
) -> Iterator[Finding]:
    client = client_settings(settings)
    try:
        with (
            Cluster(client, timeout_seconds=args.timeout) as cluster,
            LogReader(client, answer_seconds=args.timeout) as reader,
        ):
            yield _check_brokers(cluster, settings.bootstrap_servers)
            yield from _check_stream(args, settings, model, cluster, reader)
            yield from _check_members(client, cluster)
    except Fatal as fatal:
        yield failure("broker", fatal)


def _check_brokers(cluster: Cluster, servers: str) -> Finding:
    """Raises BrokerFailed."""
    try:
        return ok("broker", f"{cluster.broker_count()} reachable through {servers}")
    except BrokerFailed as failed:
        raise BrokerFailed(
            f"{failed}. Is {servers} (FRAUD_BOOTSTRAP_SERVERS) up, and do the "
            "FRAUD_KAFKA_SECURITY_PROTOCOL and what belongs to it fit?"
        ) from failed


def _check_stream(
    args: argparse.Namespace,
    settings: Settings,
    model: LoadedModel,
    cluster: Cluster,
    reader: LogReader,
) -> Iterator[Finding]:
    topic = settings.transactions_topic
    wanted = Wanted(
        topic,
        settings.scores_topic,
        settings.dead_letters_topic,
        needed_retention_ms(model.spec),
    )
    found = cluster.topics(wanted.names)
    places = cluster.partitions(topic)
    bounds = cluster.bounds(places)
    sampled = samples.read_samples(reader, bounds, args.sample)
    yield from check_topics(wanted, found, samples.rate_of(sampled))
    if places:
        yield from samples.check_keys(topic, sampled, len(places))
        yield from samples.check_values(topic, sampled, model.spec, settings)
        yield from _check_start(settings, model, cluster, bounds)


def _check_start(
    settings: Settings,
    model: LoadedModel,
    cluster: Cluster,
    bounds: Mapping[TopicPartition, LogBounds],
) -> Iterator[Finding]:
    """Say where a worker would go on, or why it could not."""
    group = f"group {settings.group}"
    committed = cluster.last_committed(list(bounds))
    try:
        if not check_first_commits(committed):
            yield _first_start(settings, group)
            return
        replayed, behind = _start_of(settings, model, cluster, bounds, committed)
    except Fatal as fatal:
        yield failure(group, fatal)
        return
    yield ok(
        group,
        f"would go on with at most {behind} records to answer, after folding at most "
        f"{replayed} earlier ones",
    )


def _start_of(
    settings: Settings,
    model: LoadedModel,
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
    reach = reach_of(model.spec)
    needed = cluster.offsets_at(
        {p: needed_since_ms(c, p, reach) for p, c in committed.items() if c is not None}
    )
    plans = [
        plan_start(
            place,
            committed[place],
            log,
            first_needed=needed.get(place),
            reach=reach,
            cold_start=settings.cold_start,
        )
        for place, log in bounds.items()
    ]
    replayed = sum(plan.live_from - plan.replay_from for plan in plans)
    ends = [log.end for log in bounds.values()]
    behind = sum(e - p.live_from for e, p in zip(ends, plans, strict=True))
    return replayed, behind


def _first_start(settings: Settings, group: str) -> Finding:
    text = "has never committed; the first start "
    if settings.start == "committed":
        remedy = "needs FRAUD_START=earliest to score what is retained, or =latest"
        return warn(group, text + remedy)
    return ok(group, f"{text}takes FRAUD_START={settings.start}")


def _check_members(client: ClientSettings, cluster: Cluster) -> Iterator[Finding]:
    facts = cluster.group()
    group = f"group {client.group}"
    if facts.operations is not None and "READ" not in facts.operations:
        yield fail(
            group,
            "this client may not join it: add an ACL that allows READ",
            ExitCode.BROKER,
        )
    if client.is_static and client.slot in facts.instances:
        yield warn(
            group,
            f"a worker named {client.instance} is in it (or was within the last 45 s): "
            "one that starts under the same name takes its place",
        )
    others: Sequence[str] = [name for name in facts.instances if name != client.slot]
    if others:
        yield ok(group, f"{len(others)} other workers, state {facts.state.lower()}")
