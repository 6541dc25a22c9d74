"""Bundles that are made in a moment, for tests that need any model at all."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tests.conftest import ROOT
from worker.bundle import (
    DataWindow,
    Manifest,
    installed_libraries,
    read_bundle,
    set_current,
    write_bundle,
)
from worker.features import Spec
from worker.scoring import (
    GoldenLabel,
    GoldenRecord,
    LoadedModel,
    Scorer,
    load_model,
    make_golden,
)

ONE_ENTITY = (ROOT / "tests" / "one_entity.toml").read_text()


def small_model(
    models_dir: Path,
    version: str = "2018-07-31.1",
    *,
    spec_text: str = ONE_ENTITY,
    seed: int = 1,
    threshold: float = 0.5,
    is_exact: bool = True,
    golden: tuple[Sequence[GoldenRecord], Sequence[GoldenLabel]] | None = None,
) -> LoadedModel:
    """Write a bundle of a model fitted on noise, put it in use, and load it."""
    # On a busy machine several threads would wait for each other for a minute.
    with threadpool_limits(1):
        spec = Spec.from_toml(spec_text)
        model = _fitted(len(spec.feature_names), seed, is_exact=is_exact)
        golden = golden or (_records(30), [])
        return _small_model(models_dir, version, spec, model, threshold, golden)


def _small_model(
    models_dir: Path,
    version: str,
    spec: Spec,
    model: Any,
    threshold: float,
    golden_log: tuple[Sequence[GoldenRecord], Sequence[GoldenLabel]],
) -> LoadedModel:
    raw = io.BytesIO()
    joblib.dump(model, raw)
    scorer = Scorer(model, feature_count=len(spec.feature_names))
    golden = make_golden(*golden_log, spec, scorer)
    manifest = Manifest(
        version=version,
        spec=spec.name,
        model=scorer.engine,
        state_fingerprint=spec.state_fingerprint,
        feature_fingerprint=spec.feature_fingerprint,
        feature_names=spec.feature_names,
        threshold=threshold,
        libraries=installed_libraries(),
        data_window=DataWindow(0, 1, 2, 1),
        metrics={"average_precision": 0.25},
    )
    files = {
        "card.md": b"# Noise\n",
        "golden.json": golden.to_json(),
        "model.joblib": raw.getvalue(),
        "transform.toml": spec.text.encode(),
    }
    write_bundle(models_dir, manifest, files)
    set_current(models_dir, version)
    return load_model(read_bundle(models_dir, version))


def _fitted(feature_count: int, seed: int, *, is_exact: bool) -> Any:
    """Scores that spread over (0, 1), with the amount as what counts most."""
    random = np.random.default_rng(seed)
    X = random.gamma(2.0, 30.0, (600, feature_count))
    y = (X[:, 0] + random.normal(0, 30, len(X)) > 60).astype(np.int64)
    if is_exact:
        return HistGradientBoostingClassifier(max_iter=10, random_state=seed).fit(X, y)
    steps = SimpleImputer(keep_empty_features=True), LogisticRegression(max_iter=500)
    return make_pipeline(*steps).fit(X, y)


def _records(count: int) -> list[GoldenRecord]:
    return [
        GoldenRecord(
            key=str(i % 3),
            value=json.dumps(
                {
                    "transaction_id": str(i),
                    "event_time": 1_532_476_800_000 + i * 3_600_000,
                    "customer_id": str(i % 3),
                    "terminal_id": "1",
                    "amount": 10 + i,
                }
            ),
            timestamp_ms=1_532_476_800_000 + i * 3_600_000,
        )
        for i in range(count)
    ]
