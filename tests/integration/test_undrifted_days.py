"""Days like those of training raise no alert about drift; a shifted feature does.

The payments are simulated and scored as in operation, and counted by the worker's own
code; the rules are those that ship, read by Prometheus' own tool. Only the step that
the long windows add up is longer than in operation, which leaves what they add up to,
and makes the ten days pass in seconds.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deploy.drift import Window, drift_alerts, drift_groups
from deploy.rules import Group, milliseconds, real_time
from tests.promtool import Labels, Scenario
from tests.reference_series import add_reference
from tests.simulated_days import ScoredDays, scored_days
from training.split import DAY_MS
from worker.drift import SCORE, BinCounter, psi

DAYS = 10
END = f"{DAYS * 24}h"

#: Between two scrapes, and between two evaluations of the rules.
SCRAPE, STEP = "10m", "1h"

#: Promtool's processes at a time.
PARTS = 3

FEATURES = ("amount", "is_weekend", SCORE)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> ScoredDays:
    return scored_days(tmp_path_factory.mktemp("days"), DAYS)


def scenario_of(
    directory: Path, days: ScoredDays, features: Collection[str]
) -> Scenario:
    """What Prometheus would have scraped of these features, and the rules about them.

    The last recorded PSI of each has to be that of numpy, so that a silence cannot come
    of rules that see nothing.
    """
    directory.mkdir()
    groups = (*drift_groups(real_time, STEP), Group("alerts", STEP, (*drift_alerts(),)))
    scenario = Scenario(directory, SCRAPE, every=STEP, groups=groups)
    counts = days.counts(milliseconds(SCRAPE))
    start = np.zeros((1, counts.shape[1]), np.int64)
    totals = np.concatenate((start, counts.cumsum(0)))
    labels = BinCounter(days.reference).labels
    for name, baseline in days.reference.baselines:
        if name not in features:
            continue
        own = {"model_version": "m", "feature": name}
        add_reference(scenario, baseline, own, len(counts))
        cells = [cell for cell, (feature, _) in enumerate(labels) if feature == name]
        for cell in cells:
            values = " ".join(map(str, totals[:, cell].tolist()))
            of_bin = {**own, "bin": labels[cell][1]}
            scenario.series("fraud_feature_values_total", values, **of_bin)
        for window in map(Window, ("1d", "7d")):
            found = last_psi(counts[:, cells], window, baseline.ratios)
            scenario.expect_value(END, window.psi, found, **own)
    return scenario


def last_psi(
    counts: NDArray[np.int64], window: Window, ratios: NDArray[np.float64]
) -> float:
    steps = window.seconds * 1_000 // milliseconds(SCRAPE)
    return float(psi(counts[-steps:].sum(0, keepdims=True), ratios)[0])


def test_ten_days_as_in_training_raise_no_alert(
    days: ScoredDays, tmp_path: Path
) -> None:
    """Of no feature and at no time, not even for a moment."""
    names = [name for name, _ in days.reference.baselines]
    parts = [names[part::PARTS] for part in range(PARTS)]

    def check(part: int) -> None:
        scenario = scenario_of(tmp_path / str(part), days, parts[part])
        scenario.expect_ever(END, "pending|firing", [])
        scenario.check()

    with ThreadPoolExecutor(PARTS) as threads:
        list(threads.map(check, range(PARTS)))
    assert len(days.X) > 50_000


def test_a_shift_on_the_last_day_raises_one_about_that_feature(
    days: ScoredDays, tmp_path: Path
) -> None:
    X = days.X.copy()
    column = list(days.reference.features).index("amount")
    X[days.times_ms >= (DAYS - 1) * DAY_MS, column] *= 1.6

    scenario = scenario_of(tmp_path / "shifted", replace(days, X=X), FEATURES)
    alert: Labels = {"alertname": "FraudFeatureDrift", "feature": "amount"}
    scenario.expect_ever(END, "firing", [alert])
    scenario.check()
