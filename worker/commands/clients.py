"""What commands need before they can start: a client's settings, and the spec."""

from __future__ import annotations

from worker.bundle import VerifiedBundle, read_bundle
from worker.config import Settings
from worker.features import Spec
from worker.kafka.config import ClientSettings
from worker.pipeline import TopicNames, Topology
from worker.recovery import Reach


def client_settings(settings: Settings) -> ClientSettings:
    """Return which cluster, group and slot the settings name."""
    return ClientSettings(
        bootstrap_servers=settings.bootstrap_servers,
        group=settings.group,
        instance=settings.instance,
        is_static=settings.static,
        extra=settings.client_properties(),
    )


def open_bundle(settings: Settings, version: str | None = None) -> VerifiedBundle:
    """Return a bundle that can be trusted as far as the settings ask.

    Raises
    ------
    BundleRejected
        It cannot be.
    """
    key = settings.public_key
    return read_bundle(settings.models_dir, version, public_key=key)


def current_spec(settings: Settings) -> Spec:
    """Return the spec of the bundle in use; loads no model.

    Raises
    ------
    BundleRejected
        There is no bundle in use, or it cannot be trusted.
    """
    bundle = open_bundle(settings)
    return Spec.from_toml(bundle.files["transform.toml"].decode())


def reach_of(spec: Spec) -> Reach:
    """Return how far back the spec's rows depend on the log."""
    return Reach(
        horizon_ms=spec.horizon_ms,
        retention_ms=spec.retention_ms,
        max_ahead_ms=spec.schema.max_ahead_ms,
    )


def topology_of(settings: Settings, spec: Spec) -> Topology:
    """Return the topics that a group works on by a spec."""
    names = TopicNames(
        transactions=settings.transactions_topic,
        labels=settings.labels_topic,
        scores=settings.scores_topic,
        dead_letters=settings.dead_letters_topic,
    )
    return Topology.of(spec, settings.group, names)
