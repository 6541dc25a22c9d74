"""Puts the worker together and lets it run until it is told to stop."""

from __future__ import annotations

import argparse
import gc
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from worker import __version__
from worker.bundle import VerifiedBundle
from worker.codec.event_times import TimeReader
from worker.codec.forwarded_times import ForwardedTimes
from worker.codec.labels import LABEL_TIME
from worker.commands.clients import (
    client_settings,
    open_bundle,
    reach_of,
    topology_of,
)
from worker.commands.connecting import Broker, connect
from worker.commands.stopping import signals_to
from worker.config import Settings
from worker.errors import ExitCode, Fenced
from worker.features import FeatureState
from worker.features.declarations import kind_of
from worker.health import Endpoint, Health, metrics_routes
from worker.kafka.starting import GroupStart
from worker.loop import (
    Aligning,
    DeadLetterLimit,
    Limits,
    Report,
    Restoring,
    SnapshotPolicy,
    Snapshots,
    Stop,
    Worker,
)
from worker.metrics import (
    ModelFacts,
    WorkerMetrics,
    exposition,
    reference_exposition,
)
from worker.pipeline import Pipeline, Topology, build_stages
from worker.records import TopicPartition
from worker.scoring import LoadedModel, load_model
from worker.snapshots import SnapshotStore

HELP = "score the stream until stopped"

EPILOG = """examples:
  The first time, say where to begin; it is remembered:
    FRAUD_START=earliest fraud-worker run --bootstrap-servers broker:9092

  Two workers that share the partitions, each with its own stable name:
    fraud-worker run --instance 0
    fraud-worker run --instance 1

SIGTERM and SIGINT finish or abort the open commit and end it with code 0. Started
again under the same name, it goes on at once where it stopped, with the same state."""

#: How long a fenced worker waits before it ends, seconds: two that a supervisor starts
#: under one name would else fence each other in turn, and neither would get far.
FENCED_WAIT_SECONDS = 15.0

#: Objects that are made and not yet gone when the collector looks for cycles: more than
#: a batch has, which it would else look through, and find them all in use.
GC_THRESHOLD = 500_000

_LOG = logging.getLogger(__name__)


def add_arguments(_: argparse.ArgumentParser) -> None:
    """Declare the arguments: there are none but the settings."""


def main(_: argparse.Namespace, settings: Settings) -> int:
    """Run the command."""
    stop = Stop()
    with signals_to(stop), ExitStack() as closing:
        try:
            _run(settings, stop, closing)
        except Fenced:
            _LOG.warning("fenced", extra={"wait_seconds": FENCED_WAIT_SECONDS})
            stop.wait(FENCED_WAIT_SECONDS)
            raise
    _LOG.info("stopped")
    return ExitCode.OK


def _run(settings: Settings, stop: Stop, closing: ExitStack) -> None:
    """Start everything in the order in which it can fail, then work.

    1. the bundle is verified, before anything is promised to anybody
    2. the topics are checked and the group has a start; meanwhile the model is loaded
    3. metrics and probes are served
    4. the loop runs
    """
    health = Health()
    probes = _serve_probes(settings, health, closing)
    bundle = open_bundle(settings)
    health.bundle_verified()
    with ThreadPoolExecutor(1, "connect") as pool:
        # The broker may take a second to hand out a producer's id.
        connecting = pool.submit(connect, settings, bundle, stop)
        # Here, because the model scores on the thread that loads it.
        model = load_model(bundle)
        for stage in model.stages:
            stage.warm_up()
        broker = connecting.result()
    health.model_ready()
    topology = topology_of(settings, model.spec)
    aligning = _aligning(settings, model, topology, broker, closing)
    metrics = WorkerMetrics(
        _facts_of(bundle, model),
        app_version=__version__,
        topics=topology.consumed,
    )
    served = _serve_metrics(settings, metrics, closing)
    worker = Worker(
        broker.consumer,
        broker.producer,
        _pipeline(settings, model, topology, broker.max_message_bytes),
        restoring=_restoring(settings, model, topology, broker.topic_ids),
        report=Report(metrics),
        limits=_limits(settings, aligning),
        stop=stop,
    )
    health.watch(metrics)
    # What is alive now stays so: the collector need never look at it again.
    gc.collect()
    gc.freeze()
    # What is made later dies with its batch, and hardly ever in a cycle.
    gc.set_threshold(GC_THRESHOLD)
    _LOG.info("started", extra={"model": bundle.version, **probes, **served})
    worker.run()


def _pipeline(
    settings: Settings, model: LoadedModel, topology: Topology, max_message_bytes: int
) -> Pipeline:
    threshold = model.threshold if settings.threshold is None else settings.threshold
    stages = build_stages(
        model,
        topology,
        threshold=threshold,
        app_version=__version__,
        max_message_bytes=max_message_bytes,
        control_group_share=settings.control_group_share,
    )
    return Pipeline(stages)


def _restoring(
    settings: Settings,
    model: LoadedModel,
    topology: Topology,
    topic_ids: Mapping[str, str],
) -> Restoring:
    policy = SnapshotPolicy(
        store=SnapshotStore(settings.state_dir / settings.group),
        topic_ids=topic_ids,
        state_fingerprint=model.spec.state_fingerprint,
        interval_seconds=settings.snapshot_interval_seconds,
    )

    def new_state(place: TopicPartition) -> FeatureState:
        # What leaves nothing behind has a state too, which stays empty.
        is_staged = place.topic in topology.stages
        stage = topology.stages.index(place.topic) if is_staged else 0
        return model.stages[stage].new_state(
            max_keys=settings.max_keys, max_events=settings.max_events
        )

    return Restoring(
        new_state=new_state,
        reach=reach_of(model.spec),
        stateless=topology.stateless,
        cold_start=settings.cold_start,
        snapshots=Snapshots(policy) if settings.snapshot_interval_seconds else None,
    )


def _aligning(
    settings: Settings,
    model: LoadedModel,
    topology: Topology,
    broker: Broker,
    closing: ExitStack,
) -> Aligning | None:
    """Return how inputs are aligned; one stage folds each partition by itself."""
    if not topology.inner:
        return None
    schema = model.spec.schema
    reader = partial(TimeReader, max_ahead_ms=schema.max_ahead_ms)
    times = {topology.transactions: reader(schema.event_time)}
    # Labels first: within a step they must not come after what should know of them.
    if topology.labels is not None:
        times = {topology.labels: reader(LABEL_TIME), **times}
    step_ms = max(1, round(settings.max_skew_seconds * 1000))
    # More than that, and what the others have yet to hand on might be late.
    slack_ms = max(step_ms, model.spec.allowed_lateness_ms // 2)
    group = GroupStart(client_settings(settings))
    closing.callback(group.close)
    return Aligning(
        times,
        dict.fromkeys(topology.inner, ForwardedTimes()),
        step_ms,
        slack_ms,
        broker.partition_count,
        group.committed,
    )


def _limits(settings: Settings, aligning: Aligning | None) -> Limits:
    return Limits(
        max_batch=settings.max_batch,
        dead_letters=DeadLetterLimit(
            max_ratio=settings.dead_letter_ratio,
            max_consecutive=settings.dead_letter_consecutive,
        ),
        aligning=aligning,
    )


def _facts_of(bundle: VerifiedBundle, model: LoadedModel) -> ModelFacts:
    files, reference = bundle.manifest.files, model.reference
    if reference is None:
        _LOG.warning("no_reference", extra={"model": bundle.version})
    return ModelFacts(
        version=bundle.version,
        model_sha256=files["model.joblib"].sha256,
        transform_sha256=files["transform.toml"].sha256,
        trained_until=bundle.manifest.data_window.last_ms / 1000,
        reference_sha256="" if reference is None else files["reference.json"].sha256,
        reference=reference,
        selftest_error=model.golden_error,
        kinds={f.name: kind_of(f) for f in model.spec.features if f.output},
    )


def _serve_probes(
    settings: Settings, health: Health, closing: ExitStack
) -> dict[str, int]:
    if settings.health_port < 0:
        return {}
    endpoint = Endpoint(
        settings.health_address,
        settings.health_port,
        health.routes(),
        setting="FRAUD_HEALTH_PORT",
    )
    closing.callback(endpoint.close)
    return {"health_port": endpoint.port}


def _serve_metrics(
    settings: Settings, metrics: WorkerMetrics, closing: ExitStack
) -> dict[str, int]:
    if settings.metrics_port < 0:
        return {}
    endpoint = Endpoint(
        settings.metrics_address,
        settings.metrics_port,
        metrics_routes(exposition(metrics), reference_exposition(metrics)),
        setting="FRAUD_METRICS_PORT",
    )
    closing.callback(endpoint.close)
    return {"metrics_port": endpoint.port}
