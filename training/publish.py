"""Makes bundles, and decides which one is in use.

Nothing is put in use that could not be loaded here a moment before.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib

from training.card import write_card
from training.golden import golden_log
from training.report import ReportFacts, render_report
from training.split import LabelledHistory
from worker.bundle import (
    DataWindow,
    Manifest,
    current_version,
    installed_libraries,
    read_bundle,
    set_current,
    versions,
    write_bundle,
)
from worker.drift import Reference
from worker.errors import BundleRejected, InvalidConfig
from worker.features import Spec
from worker.records import EventBatch
from worker.scoring import (
    LoadedModel,
    Scorer,
    describe,
    deserialise,
    load_model,
    make_golden,
)

__all__ = ["DataWindow", "make_bundle", "publish", "rollback"]

#: zlib at its usual level halves a model of trees; loading stays a matter of
#: milliseconds.
_COMPRESSION = ("zlib", 6)


def make_bundle(  # noqa: PLR0913 - a bundle is made of all this
    *,
    models_dir: Path,
    version: str,
    spec: Spec,
    model: Any,
    records: EventBatch,
    threshold: float,
    metrics: Mapping[str, float],
    data_window: DataWindow,
    history: LabelledHistory | None = None,
    facts: ReportFacts | None = None,
    reference: Reference | None = None,
    parent: str | None = None,
    private_key: Path | None = None,
) -> Path:
    """Write a bundle; which one is in use does not change.

    Parameters
    ----------
    model
        A fitted classifier with scikit-learn's interface, on labels 0 and 1.
    records
        History in log order, to choose the golden events from.
    history
        Its labels, where the spec looks at labels.
    threshold
        Published scores that reach it are flagged.
    metrics
        What was measured; what is not finite (there were no frauds) is left out.
    facts
        With them there is a report.html, and the card has the evaluation.
    reference
        What live values are compared with; without it the worker counts none.
    parent
        What `rollback` goes back to; by default the version in use.
    private_key
        PEM file; with it, the bundle is signed.

    Returns
    -------
    Path
        The bundle's directory.

    Raises
    ------
    InvalidConfig
        The version exists, there is no history, or the key is unusable.
    BundleRejected
        The model cannot do what scoring needs.
    """
    if len(records) == 0:
        raise InvalidConfig(["there is no history to choose from"], subject="bundle")
    serialised = _serialise(model)
    # From its bytes, since that is what will be loaded; the caller's stays as it is.
    scorer = Scorer(deserialise(serialised), feature_count=len(spec.feature_names))
    golden = make_golden(*golden_log(records, spec, history), spec, scorer)
    manifest = Manifest(
        version=version,
        spec=spec.name,
        model=describe(model),
        state_fingerprint=spec.state_fingerprint,
        feature_fingerprint=spec.feature_fingerprint,
        feature_names=spec.feature_names,
        threshold=float(threshold),
        libraries=installed_libraries(),
        data_window=data_window,
        metrics={k: float(v) for k, v in metrics.items() if math.isfinite(v)},
        parent=_in_use(models_dir) if parent is None else parent,
    )
    files = {
        "model.joblib": serialised,
        "transform.toml": spec.text.encode(),
        "golden.json": golden.to_json(),
        "card.md": write_card(manifest, spec, facts).encode(),
    }
    if reference is not None:
        files["reference.json"] = reference.to_json()
    if facts is not None:
        files["report.html"] = render_report(facts, version=version).encode()
    return write_bundle(models_dir, manifest, files, private_key=private_key)


def publish(
    models_dir: Path, version: str, *, public_key: Path | None = None
) -> LoadedModel:
    """Put a version in use, after loading it as a worker would.

    Raises
    ------
    BundleRejected
        The version cannot be used; the one in use stays.
    """
    loaded = load_model(read_bundle(models_dir, version, public_key=public_key))
    set_current(models_dir, version)
    return loaded


def rollback(
    models_dir: Path, version: str | None = None, *, public_key: Path | None = None
) -> LoadedModel:
    """Put an earlier version in use: by default the parent of the one in use.

    Raises
    ------
    InvalidConfig
        The version in use has no parent.
    BundleRejected
        The target cannot be used, or the version in use cannot tell its parent.
    """
    if version is None:
        version = _parent_in_use(models_dir)
    return publish(models_dir, version, public_key=public_key)


def _serialise(model: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(model, buffer, compress=_COMPRESSION)
    return buffer.getvalue()


def _in_use(models_dir: Path) -> str | None:
    try:
        return current_version(models_dir)
    except BundleRejected:  # nothing is in use, which is no reason to lose a model
        return None


def _parent_in_use(models_dir: Path) -> str:
    in_use = read_bundle(models_dir)
    parent = in_use.manifest.parent
    if parent is None:
        others = [v for v in versions(models_dir) if v != in_use.version]
        problem = (
            f"{in_use.version} has no parent: name the version to go back to"
            f" ({', '.join(others) or 'there is no other'})"
        )
        raise InvalidConfig([problem], subject="rollback")
    return parent
