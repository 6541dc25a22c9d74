"""The reference of a model as metrics, which do not change while a worker runs."""

from __future__ import annotations

import math
from collections.abc import Mapping

from worker.drift import WINDOWS, Reference
from worker.metrics import catalogue as names
from worker.metrics.store import MetricStore


def describe_reference(
    store: MetricStore, reference: Reference, version: str, kinds: Mapping[str, str]
) -> None:
    """Set all that a reference says of each feature, and of the scores."""
    for feature, kind in kinds.items():
        store.set(names.FEATURE_INFO, 1, version, feature, kind)
    store.set(names.FORECAST_FLAG, reference.flag_ratio, version)
    for feature, baseline in reference.baselines:
        for slot, ratio in zip(baseline.slots, baseline.ratios.tolist(), strict=True):
            store.set(names.REFERENCE_RATIO, ratio, version, feature, slot)
        store.set(names.REFERENCE_ROWS, baseline.rows, version, feature)
        for window, effect in zip(WINDOWS, baseline.design_effects, strict=True):
            store.set(names.REFERENCE_DESIGN_EFFECT, effect, version, feature, window)
        seconds = baseline.min_window_seconds or math.inf
        store.set(names.REFERENCE_MIN_WINDOW, seconds, version, feature)
