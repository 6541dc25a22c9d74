"""Holds scores against the labels of their payments, as they come."""

from __future__ import annotations

import argparse
import dataclasses
import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from worker.bundle import VerifiedBundle
from worker.commands.clients import client_settings, open_bundle
from worker.commands.stopping import signals_to
from worker.config import Settings
from worker.errors import BundleRejected, ExitCode, StateUnusable
from worker.features import Spec
from worker.features.declarations import WindowFeature
from worker.health import Endpoint, Health, Routes, metrics_routes
from worker.kafka.admin import Cluster
from worker.kafka.config import ClientSettings
from worker.kafka.follower import Follower
from worker.kafka.starting import GroupStart
from worker.loop import Stop
from worker.records import NextOffset, TopicPartition
from worker.truth import Join, Maturity, TruthLoop, TruthMetrics, truth_exposition
from worker.truth.memory import Remembered, remembered

HELP = "hold scores against labels, and tell live precision, recall and AUC"

EPILOG = """examples:
  Beside a worker on the same machine, whose ports are taken:
    fraud-worker truth --metrics-port 9110 --health-port 9111

  Where chargebacks take up to 45 days:
    fraud-worker truth --label-maturity-days 45

Reads the scores and the labels as a reader of committed records, and writes nothing but
the progress of its own group, <FRAUD_GROUP>.truth. Payments and labels meet in cohorts
of an hour of event time. A cohort is judged when event time has passed it by the
maturity and the spec's allowed lateness: a payment without a label is genuine then, not
before. A label counts if it was known within the maturity; one that comes or becomes
known later is counted as late, and changes nothing.

  maturity   FRAUD_LABEL_MATURITY_DAYS; else the longest delay of the spec's windows
             over labels; else 7 days
  event time the greatest of all scores; a partition that has not been read to its end
             holds it, as does one of scores until nothing came for a minute

Each payment is counted once, also when its score or its label is repeated, and whenever
this process is killed: what was counted is committed together with what was read, and a
successor's counters go on from there. So run one process for a group; two would count
everything twice. Where records were removed that it needed, the log says how many.

Prometheus adds the counters up: deploy/prometheus/recording.rules.yml makes precision,
recall, ROC AUC, calibration and flag rate of them, over a day and over a week, and an
alert compares these with the figures of the model's evaluation."""

SETTINGS = (
    *("bootstrap_servers", "group", "scores_topic", "labels_topic"),
    *("label_maturity_days", "models_dir", "public_key"),
    *("metrics_address", "metrics_port", "health_address", "health_port"),
    *("log_format", "log_level", "kafka"),
)

#: Where neither a setting nor the spec says how long labels take.
DEFAULT_MATURITY_DAYS = 7.0

_DAY_MS = 86_400_000

Commit = Callable[[Mapping[TopicPartition, NextOffset]], None]

_LOG = logging.getLogger(__name__)


def add_arguments(_: argparse.ArgumentParser) -> None:
    """Declare the arguments: there are none but the settings."""


def main(_: argparse.Namespace, settings: Settings) -> int:
    """Run the command until a signal ends it."""
    stop = Stop()
    with signals_to(stop), ExitStack() as closing:
        _run(settings, stop, closing)
    _LOG.info("stopped")
    return ExitCode.OK


def maturity_of(settings: Settings, spec: Spec) -> Maturity:
    """Return when a payment is judged: by a setting, or by what the spec waits for."""
    days = settings.label_maturity_days
    delays = [
        feature.delay_ms
        for feature in spec.features
        if isinstance(feature, WindowFeature) and feature.statistic.needs_labels
    ]
    if days is not None:
        label_ms = round(days * _DAY_MS)
    else:
        label_ms = max(delays, default=round(DEFAULT_MATURITY_DAYS * _DAY_MS))
    return Maturity(label_ms, spec.allowed_lateness_ms)


def _run(settings: Settings, stop: Stop, closing: ExitStack) -> None:
    """Start everything in the order in which it can fail, then count.

    1. the bundle is verified: it says what a payment is, and what was forecast
    2. the group's memory is read
    3. metrics are served, from what was counted before
    4. the loop runs
    """
    health = Health(until_ready="what waits for labels has not been read again yet")
    at = settings.health_address, settings.health_port
    probes = _serve(at, "health_port", health.routes(), closing)
    bundle = open_bundle(settings)
    health.bundle_verified()
    spec = Spec.from_toml(bundle.files["transform.toml"].decode())
    clients = own_group(client_settings(settings))
    cluster = closing.enter_context(Cluster(clients))
    group = closing.enter_context(GroupStart(clients))
    memory, scores = _remember(settings, cluster, group)
    maturity = maturity_of(settings, spec)
    join = Join(
        spec.schema,
        maturity,
        {p: of.position for p, of in memory.places.items() if p in scores},
        {p: of.position for p, of in memory.places.items() if p not in scores},
        memory.tally,
    )
    metrics = TruthMetrics(bundle.version, Forecasts(settings, bundle))
    metrics.show(join.tally)
    routes = metrics_routes(truth_exposition(metrics))
    at = settings.metrics_address, settings.metrics_port
    served = _serve(at, "metrics_port", routes, closing)
    starts = {place: of.needed for place, of in memory.places.items()}
    reader = closing.enter_context(Follower(clients, starts))
    loop = TruthLoop(join, reader, metrics, ends=cluster.ends, commit=_commit_by(group))
    health.watch(metrics)
    days = {"maturity_days": maturity.label_ms / _DAY_MS}
    _LOG.info("started", extra={"model": bundle.version, **days, **probes, **served})
    while not stop.is_requested:
        loop.run_once()
        if join.is_restored:
            health.model_ready()
    health.stopping()
    loop.commit()


def own_group(clients: ClientSettings) -> ClientSettings:
    """Return the same cluster, with a group of its own for the progress."""
    return dataclasses.replace(clients, group=f"{clients.group}.truth", is_static=False)


def _remember(
    settings: Settings, cluster: Cluster, group: GroupStart
) -> tuple[Remembered, frozenset[TopicPartition]]:
    """Return what was committed, and which of its partitions are those of the scores.

    Raises
    ------
    StateUnusable
        A topic is missing, or the commits do not fit the topics.
    """
    topics = settings.scores_topic, settings.labels_topic
    places = {topic: cluster.partitions(topic) for topic in topics}
    missing = [topic for topic in topics if not places[topic]]
    if missing:
        raise StateUnusable(
            f"there is no topic {', '.join(missing)}. `fraud-worker topics` creates "
            "what is missing, or prints the commands."
        )
    both = [place for of in places.values() for place in of]
    memory = remembered(group.committed(both), cluster.bounds(both))
    if memory.removed:
        _LOG.warning("needed_records_removed", extra={"offsets": memory.removed})
    return memory, frozenset(places[settings.scores_topic])


class Forecasts:
    """The figures of each model's evaluation, as its bundle holds them."""

    def __init__(self, settings: Settings, current: VerifiedBundle):
        self._settings = settings
        self._current = current

    def __call__(self, version: str) -> Mapping[str, float]:
        """Return those of a version, none where there is no such bundle."""
        if version == self._current.version:
            return self._current.manifest.metrics
        try:
            return open_bundle(self._settings, version).manifest.metrics
        except BundleRejected:
            _LOG.warning("no_forecast", extra={"model": version})
            return {}


def _commit_by(group: GroupStart) -> Commit:
    def commit(offsets: Mapping[TopicPartition, NextOffset]) -> None:
        if not group.commit(offsets):
            raise StateUnusable(
                "the group of `fraud-worker truth` has members: something else joined "
                "it. Give that another group"
            )

    return commit


def _serve(
    place: tuple[str, int], name: str, routes: Routes, closing: ExitStack
) -> dict[str, int]:
    """Serve paths on an address and a port, -1 for none; return the port by name."""
    address, port = place
    if port < 0:
        return {}
    setting = f"FRAUD_{name.upper()}"
    endpoint = Endpoint(address, port, routes, setting=setting)
    closing.callback(endpoint.close)
    return {name: endpoint.port}
