"""Small models and bundles for tests of scoring and publishing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from tests.transform_builders import Row, batch_of, everything
from training.publish import DataWindow, make_bundle
from worker.bundle import Manifest, VerifiedBundle, read_bundle, write_bundle
from worker.features import FeatureTransform
from worker.records import EventBatch

VERSION = "2018-07-31.1"

#: Payments of twelve customers; the first makes half of them.
HISTORY_SIZE = 1200

FIRST_MS = 1_522_540_800_000


@cache
def history() -> EventBatch:
    """Payments with ties, gaps, missing values and steps back in time."""
    random = np.random.default_rng(7)
    times = FIRST_MS + np.cumsum(random.integers(0, 4, HISTORY_SIZE) * 1000)
    times -= random.integers(0, 5, HISTORY_SIZE) * 1000
    customers = np.minimum(random.geometric(0.5, HISTORY_SIZE), 12)
    cents = random.integers(1, 9_999, HISTORY_SIZE)
    items = random.integers(0, 5, HISTORY_SIZE)
    rows: list[Row] = [
        (
            f"id-{i}",
            int(times[i]),
            f"customer-{customers[i]}",
            int(cents[i]),
            int(items[i]) or None,
            f"shop-{cents[i] % 7}" if items[i] else None,
        )
        for i in range(HISTORY_SIZE)
    ]
    return batch_of(rows)


@cache
def training_data() -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """X of the history under the spec with everything, and made-up frauds."""
    X = FeatureTransform(everything()).transform(history()).X
    risk = np.nan_to_num(X).sum(axis=1)
    fraud = risk + np.random.default_rng(1).normal(0, 30, len(X)) > np.quantile(
        risk, 0.9
    )
    return X, fraud


@cache
def boosted_trees() -> Any:
    return HistGradientBoostingClassifier(
        max_iter=10, max_leaf_nodes=8, early_stopping=False, random_state=0
    ).fit(*training_data())


def publish_bundle(models: Path, model: Any = None, **changes: Any) -> Path:
    """Write a bundle with everything that a bundle has."""
    arguments: dict[str, Any] = {
        "version": VERSION,
        "spec": everything(),
        "model": boosted_trees() if model is None else model,
        "records": history(),
        "threshold": 0.5,
        "metrics": {"average_precision": 0.5},
        "data_window": DataWindow(FIRST_MS, FIRST_MS + 3_600_000, HISTORY_SIZE, 120),
    }
    return make_bundle(models_dir=models, **{**arguments, **changes})


def republished(
    models: Path,
    directory: Path,
    files: Mapping[str, bytes] | None = None,
    **changes: Any,
) -> VerifiedBundle:
    """The bundle with other files or another manifest, and digests that fit."""
    bundle = read_bundle(models, VERSION)
    manifest: Manifest = replace(bundle.manifest, **changes)
    write_bundle(directory, manifest, {**bundle.files, **(files or {})})
    return read_bundle(directory, VERSION)


def make_keys(stem: Path) -> tuple[Path, Path]:
    """Write an Ed25519 private and public key beside each other, as openssl does."""
    key = ed25519.Ed25519PrivateKey.generate()
    private, public = stem.with_suffix(".key"), stem.with_suffix(".pub")
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM,
            serialization.PublicFormat.SubjectPublicKeyInfo,
        )
    )
    return private, public
