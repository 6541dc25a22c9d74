"""Looks at everything that the worker rests on, without consuming anything."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence

from worker.codec import Decoder
from worker.codec.labels import label_schema
from worker.commands import samples
from worker.commands.clients import client_settings, open_bundle, topology_of
from worker.commands.findings import (
    Finding,
    exit_code,
    fail,
    failure,
    ok,
    warn,
)
from worker.commands.start_checks import check_start
from worker.commands.topic_checks import Wanted, check_topics
from worker.commands.topics import needed_retention_ms
from worker.config import Settings
from worker.errors import BrokerFailed, ExitCode, Fatal, InvalidConfig
from worker.features import Spec
from worker.kafka.admin import TIMEOUT_SECONDS, Cluster, TopicFacts
from worker.kafka.config import ClientSettings
from worker.kafka.reader import LogReader
from worker.pipeline import Topology
from worker.pipeline.chain import label_targets
from worker.records import RecordBatch, TopicPartition
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
    spec = model.spec
    topology = topology_of(settings, spec)
    found = cluster.topics(topology.every)
    places = [p for topic in topology.consumed for p in cluster.partitions(topic)]
    bounds = cluster.bounds(places)
    sampled = {}
    for topic in topology.consumed:
        of_topic = {place: log for place, log in bounds.items() if place.topic == topic}
        sampled[topic] = samples.read_samples(reader, of_topic, args.sample)
    rates = {topic: samples.rate_of(batches) for topic, batches in sampled.items()}
    yield from check_topics(
        Wanted(topology, needed_retention_ms(spec)),
        found,
        {topic: rate for topic, rate in rates.items() if rate is not None},
    )
    yield from _check_records(settings, spec, topology, sampled, found)
    if found.keys() >= set(topology.consumed):
        yield from check_start(settings, spec, topology, cluster, bounds)


def _check_records(
    settings: Settings,
    spec: Spec,
    topology: Topology,
    sampled: Mapping[str, Mapping[TopicPartition, RecordBatch]],
    found: Mapping[str, TopicFacts],
) -> Iterator[Finding]:
    """Say what the youngest records are that come from outside."""
    payments, labels = topology.transactions, topology.labels
    if payments in found:
        count = found[payments].partition_count
        if not spec.schema.rekey:
            yield from samples.check_keys(payments, sampled[payments], count)
        decoder = Decoder(spec.schema)
        yield from samples.check_values(payments, sampled[payments], decoder, settings)
    if labels is not None and labels in found:
        keys = [key for _, key in label_targets(spec, topology)]
        decoder = Decoder(label_schema(spec.schema, keys), key_is_entity=None)
        yield from samples.check_values(
            labels, sampled[labels], decoder, settings, what="labels"
        )


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
