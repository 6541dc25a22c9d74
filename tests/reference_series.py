"""What a worker serves about a model's reference, as series for promtool."""

from __future__ import annotations

from tests.promtool import Labels, Scenario
from worker.drift import WINDOWS, Baseline


def add_reference(
    scenario: Scenario, baseline: Baseline, labels: Labels, count: int
) -> None:
    """Add what never changes of one feature, `count` steps long.

    Parameters
    ----------
    labels
        Of the feature, on its worker.
    """
    name = "fraud_feature_reference"
    for slot, ratio in zip(baseline.slots, baseline.ratios, strict=True):
        values = f"{float(ratio)!r}x{count}"
        scenario.series(f"{name}_ratio", values, **labels, bin=slot)
    scenario.series(f"{name}_rows", f"{baseline.rows}x{count}", **labels)
    least = baseline.min_window_seconds or "Inf"
    scenario.series(f"{name}_min_window_seconds", f"{least}x{count}", **labels)
    for window, effect in zip(WINDOWS, baseline.design_effects, strict=True):
        values = f"{effect}x{count}"
        scenario.series(f"{name}_design_effect", values, **labels, window=window)
