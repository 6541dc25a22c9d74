"""Shows a bundle, and with a broker what the group has committed."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from collections.abc import Iterator
from typing import Any

from worker.bundle import (
    FileEntry,
    VerifiedBundle,
    current_version,
    versions,
)
from worker.commands.clients import (
    client_settings,
    current_spec,
    open_bundle,
    topology_of,
)
from worker.config import Settings
from worker.errors import BundleRejected, ExitCode, StateUnusable
from worker.features import Spec
from worker.kafka.admin import Cluster
from worker.records import LogBounds, NextOffset, TopicPartition
from worker.recovery import CommitMetadata

HELP = "show a bundle, or what the group has committed"

EPILOG = """examples:
  What is in use, what it looks at, and how good it was on its test data:
    fraud-worker inspect

  Another version, and all that there are:
    fraud-worker inspect 2018-07-31.1
    fraud-worker inspect --list

  Where the group stands in each partition of all that it reads (payments, labels and
  what goes from stage to stage), and what its commits remember:
    fraud-worker inspect --offsets --bootstrap-servers broker:9092

  For a program:
    fraud-worker inspect --json | jq -r .feature_fingerprint

A bundle is verified before it is shown, and never loaded: nothing in it is executed."""

SETTINGS = (
    *("models_dir", "public_key", "bootstrap_servers", "group", "transactions_topic"),
    *("labels_topic", "log_level", "kafka"),
)

_DAY_MS = 86_400_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "version", nargs="?", help="the bundle to show (default: the one in use)"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="the versions there are")
    what.add_argument(
        "--offsets", action="store_true", help="what the group has committed"
    )
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")


def main(args: argparse.Namespace, settings: Settings) -> int:
    """Run the command."""
    if args.list:
        shown: dict[str, Any] = {"versions": _listed(settings)}
        lines = [_version_line(version) for version in shown["versions"]]
    elif args.offsets:
        shown = {"group": settings.group, "partitions": _committed(settings)}
        lines = [_offset_line(partition) for partition in shown["partitions"]]
    else:
        bundle = open_bundle(settings, args.version)
        shown = bundle_facts(bundle)
        lines = list(_bundle_lines(shown))
    print(json.dumps(shown, indent=2) if args.json else "\n".join(lines))
    return ExitCode.OK


def bundle_facts(bundle: VerifiedBundle) -> dict[str, Any]:
    """Return what a person wants to know about a bundle."""
    manifest = bundle.manifest
    spec = Spec.from_toml(bundle.files["transform.toml"].decode())
    window = manifest.data_window
    return {
        "version": manifest.version,
        "model": manifest.model,
        "threshold": manifest.threshold,
        "parent": manifest.parent,
        "trained_on": {
            "first": _time(window.first_ms),
            "last": _time(window.last_ms),
            "rows": window.rows,
            "frauds": window.frauds,
        },
        "metrics": dict(manifest.metrics),
        "spec": manifest.spec,
        "features": list(manifest.feature_names),
        "entities": [entity.name for entity in spec.entities],
        "horizon_days": spec.horizon_ms / _DAY_MS,
        "retention_days": spec.retention_ms / _DAY_MS,
        "state_fingerprint": manifest.state_fingerprint,
        "feature_fingerprint": manifest.feature_fingerprint,
        "libraries": dict(manifest.libraries),
        "library_differences": list(bundle.differences),
        "files": {n: {"size": f.size, "sha256": f.sha256} for n, f in _files(bundle)},
        "manifest_sha256": bundle.digest,
    }


def _files(bundle: VerifiedBundle) -> list[tuple[str, FileEntry]]:
    return sorted(bundle.manifest.files.items())


def _bundle_lines(facts: dict[str, Any]) -> Iterator[str]:
    """Yield a bundle's facts, one of them a line, lists indented."""
    for name, value in facts.items():
        title = name.replace("_", " ")
        if isinstance(value, dict):
            yield f"{title}:"
            yield from (f"  {key}: {_text(item)}" for key, item in value.items())
        elif isinstance(value, list):
            yield f"{title}: {len(value)}"
            yield from (f"  {item}" for item in value)
        else:
            yield f"{title}: {_text(value)}"


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    return "none" if value is None else str(value)


def _listed(settings: Settings) -> list[dict[str, Any]]:
    found = versions(settings.models_dir)
    try:
        current = current_version(settings.models_dir)
    except BundleRejected:
        current = None
    return [{"version": name, "in_use": name == current} for name in found]


def _version_line(version: dict[str, Any]) -> str:
    return f"{version['version']}{'  in use' if version['in_use'] else ''}"


def _committed(settings: Settings) -> list[dict[str, Any]]:
    """Return the partitions that the group reads, with what it says about each."""
    with Cluster(client_settings(settings)) as cluster:
        places = [
            place
            for topic in _consumed(settings)
            for place in cluster.partitions(topic)
        ]
        if not places:
            raise StateUnusable(
                f"there is no topic {settings.transactions_topic}; "
                "create it with `fraud-worker topics`"
            )
        bounds, committed = cluster.bounds(places), cluster.last_committed(places)
        return [_partition_facts(p, bounds[p], committed[p]) for p in places]


def _consumed(settings: Settings) -> tuple[str, ...]:
    """Return the topics that the group reads, as far as that is known here."""
    try:
        return topology_of(settings, current_spec(settings)).consumed
    except BundleRejected as rejected:
        note = (
            f"inspect: the transactions alone, since no bundle names more: {rejected}"
        )
        print(note, file=sys.stderr)
        return (settings.transactions_topic,)


def _partition_facts(
    place: TopicPartition, bounds: LogBounds, committed: NextOffset | None
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "partition": f"{place.topic}/{place.partition}",
        "log_start": bounds.start,
        "log_end": bounds.end,
        "committed": None,
    }
    if committed is None:
        return facts
    facts |= {"committed": committed.offset, "behind": bounds.end - committed.offset}
    metadata = CommitMetadata.decode(committed.metadata, place)
    if metadata is not None:
        facts |= {
            "watermark": _time(metadata.watermark_ms),
            "fold_start": metadata.fold_start,
            "answered_from": metadata.answered_from,
            "incomplete_until": _time(metadata.incomplete_until_ms),
        }
    return facts


def _offset_line(facts: dict[str, Any]) -> str:
    """Return one partition as a line: `transactions/0 committed 42 of 0..50 ...`."""
    log = f"{facts['partition']}  log {facts['log_start']} to {facts['log_end']}"
    if facts["committed"] is None:
        return f"{log}  never committed"
    line = f"{log}  committed {facts['committed']}, at most {facts['behind']} behind"
    names = ("watermark", "fold_start", "answered_from", "incomplete_until")
    for name in names:
        if facts.get(name) is not None:
            line += f"  {name.replace('_', ' ')} {facts[name]}"
    return line


def _time(ms: int | None) -> str | None:
    """Return an event time as RFC 3339 in UTC."""
    if ms is None:
        return None
    when = dt.datetime.fromtimestamp(ms / 1000, dt.UTC)
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")
