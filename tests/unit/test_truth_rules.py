"""What labels say of a model, as rules record it: equal to scikit-learn's figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from deploy.panels.truth import TRUTH_PANELS
from deploy.truth import JOB, WINDOWS, Quality
from tests.conftest import ROOT
from tests.promtool import Labels, Scenario
from worker.truth import BIN_COUNT, LABELS, ModelTally
from worker.truth.showing import BINS

WEEK = Quality("7d")

TRUTH = {"job": "fraud-truth", "instance": "t"}
MODEL = {"model_version": "m"}

#: Samples four minutes apart, less than Prometheus looks back: nothing for a while,
#: then all of it for some hours.
BEFORE, AFTER = "0x2", "x60"

#: When all has been seen, and held.
LATER = "3h"

#: What the dashboard's variables stand for.
VARIABLES = {"$__rate_interval": "30m", "$job": ".+", "$instance": ".+"}

FORECAST = {"precision": 0.95, "recall": 0.71, "roc_auc": 0.87}


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    """A worker that does well, for some hours."""
    scenario = Scenario(tmp_path, step="4m")
    worker = {"job": "fraud-worker", "instance": "a"}
    scenario.series("fraud_model_info", "1x70", **worker, **MODEL)
    scenario.series("fraud_build_info", "1x70", **worker)
    return scenario


class Judged:
    """Payments whose labels are settled: (n,) scores, labels and decisions."""

    def __init__(self, seed: int, *, count: int = 20_000, found: float = 0.7):
        random = np.random.default_rng(seed)
        self.fraud = random.random(count) < 0.01
        is_seen = self.fraud & (random.random(count) < found)
        high = random.beta(20, 2, count)
        scores = np.where(is_seen, high, random.beta(1, 300, count))
        self.scores = np.round(np.where(random.random(count) < 5e-4, high, scores), 9)
        self.flagged = self.scores >= 0.4
        self.tally = ModelTally()
        units = np.rint(self.scores * 1e9).astype(np.int64)
        self.tally.count(units, np.where(self.flagged, 0, 1), self.fraud)
        self.bins = np.array([np.argmax(self._bin(unit)) for unit in units])

    @staticmethod
    def _bin(unit: int) -> NDArray[np.int64]:
        alone = ModelTally()
        alone.count(np.array([unit]), np.array([1]), np.array([False]))
        return alone.bins[:, 0]


def tell(scenario: Scenario, tally: ModelTally, instance: str = "t") -> None:
    """Let a process judge all of it at once."""
    own = {**TRUTH, "instance": instance, **MODEL}

    def add(name: str, count: float, **labels: str) -> None:
        values = f"{BEFORE} {float(count)!r}{AFTER}"
        scenario.series(f"fraud_truth_{name}_total", values, **own, **labels)

    for number, slot in enumerate(BINS):
        add("frauds_above", tally.frauds_above[number], score_bin=slot)
        for column, label in enumerate(LABELS):
            add("payments", tally.bins[number, column], score_bin=slot, label=label)
    for row, decision in enumerate(("flagged", "passed", "control")):
        units = int(tally.score_units[row])
        add("probability_sum", units / 1e9, decision=decision)
        for column, label in enumerate(LABELS):
            count = tally.decisions[row, column]
            add("decisions", count, decision=decision, label=label)


def foretell(scenario: Scenario, figures: Labels | dict[str, float]) -> None:
    for figure, value in figures.items():
        labels = {**TRUTH, **MODEL, "figure": figure}
        scenario.series("fraud_forecast_ratio", f"{value}x70", **labels)


@pytest.mark.parametrize("window", WINDOWS)
def test_what_is_recorded_equals_scikit_learn(scenario: Scenario, window: str) -> None:
    """Of two processes' payments; the AUC to the last place for scores in bins."""
    parts = [Judged(1), Judged(2, count=7_000)]
    for part, instance in zip(parts, "ab", strict=True):
        tell(scenario, part.tally, instance)
    fraud, flagged, bins, scores = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("fraud", "flagged", "bins", "scores")
    )

    quality = Quality(window)
    expected = {
        "precision": precision_score(fraud, flagged),
        "recall": recall_score(fraud, flagged),
        "roc_auc": roc_auc_score(fraud, bins),
        "calibration": scores.sum() / fraud.sum(),
        "flag": flagged.mean(),
        "base": fraud.mean(),
    }
    for figure, value in expected.items():
        scenario.expect_value(LATER, quality.ratio(figure), float(value), **MODEL)
    scenario.check()
    assert len(np.unique(bins)) > BIN_COUNT // 2


def test_what_needs_no_labels_comes_from_the_scores(scenario: Scenario) -> None:
    sums, counts = (
        {"flagged": 610.5, "passed": 89.5},
        {"flagged": 700, "passed": 99_300},
    )
    for decision, total in sums.items():
        own = {"job": "fraud-worker", "instance": "a", **MODEL, "decision": decision}
        values = f"{BEFORE} {total}{AFTER}"
        scenario.series("fraud_score_probability_sum_total", values, **own)
        values = f"{BEFORE} {counts[decision]}{AFTER}"
        scenario.series("fraud_events_scored_total", values, **own)

    scenario.expect_value(LATER, WEEK.expected("precision"), 610.5 / 700, **MODEL)
    scenario.expect_value(LATER, WEEK.expected("recall"), 610.5 / 700, **MODEL)
    scenario.check()


def test_delays_and_shares_of_labels_are_recorded(scenario: Scenario) -> None:
    for outcome, count in (("judged", 950), ("late", 30), ("malformed", 20)):
        values = f"{BEFORE} {count}{AFTER}"
        labels = {**TRUTH, "outcome": outcome}
        scenario.series("fraud_truth_scores_total", values, **labels)
    scenario.series(
        "fraud_truth_scores_total", f"{BEFORE} 77{AFTER}", **TRUTH, outcome="repeated"
    )
    for edge, count in (("86400.0", 0), ("172800.0", 100), ("+Inf", 100)):
        name = "fraud_label_delay_seconds_bucket"
        scenario.series(name, f"{BEFORE} {count}{AFTER}", **TRUTH, le=edge)

    scenario.expect_value(LATER, WEEK.judged, 0.95)
    scenario.expect_value(LATER, WEEK.delay("median"), 1.5 * 86_400)
    scenario.expect_value(LATER, WEEK.delay("p95"), 1.95 * 86_400)
    scenario.check()


def test_every_panel_about_labels_has_data(scenario: Scenario) -> None:
    judged = Judged(9)
    tell(scenario, judged.tally)
    foretell(scenario, FORECAST)
    worker = {"job": "fraud-worker", "instance": "a", **MODEL}
    others = [
        ("fraud_score_probability_sum_total", {**worker, "decision": "flagged"}),
        ("fraud_events_scored_total", {**worker, "decision": "flagged"}),
        ("fraud_truth_scores_total", {**TRUTH, "outcome": "judged"}),
        ("fraud_labels_late_total", TRUTH),
        ("fraud_labels_unmatched_total", {**TRUTH, "reason": "unknown"}),
        ("fraud_label_delay_seconds_bucket", {**TRUTH, "le": "86400.0"}),
        ("fraud_label_delay_seconds_bucket", {**TRUTH, "le": "+Inf"}),
    ]
    for name, labels in others:
        scenario.series(name, f"{BEFORE} 50{AFTER}", **labels)
    queries = [query.expr for panel in TRUTH_PANELS for query in panel.queries]
    for query in queries:
        for variable, value in VARIABLES.items():
            query = query.replace(variable, value)  # noqa: PLW2901
        scenario.expect_data(LATER, query)
    scenario.check()
    assert len(queries) > len(TRUTH_PANELS)


# Alerts: each fires, and stays quiet


def below(figure: str) -> Labels:
    return {"alertname": "FraudQualityBelowForecast", **MODEL, "figure": figure}


MISSING = {"alertname": "FraudLabelsMissing", **MODEL}

DOWN = {"alertname": "FraudTruthDown", **TRUTH}

#: What is seen firing here.
FIRED = {each["alertname"] for each in (below("recall"), MISSING, DOWN)}


def test_a_model_that_is_as_forecast_fires_nothing(scenario: Scenario) -> None:
    judged = Judged(3)
    tell(scenario, judged.tally)
    foretell(scenario, FORECAST)

    scenario.expect_firing(LATER, [])
    scenario.check()


def test_a_model_that_finds_half_of_what_was_forecast_fires(scenario: Scenario) -> None:
    """Recall and AUC fall; what it flags is as right as ever."""
    judged = Judged(4, found=0.3)
    assert precision_score(judged.fraud, judged.flagged) > 0.8
    tell(scenario, judged.tally)
    foretell(scenario, FORECAST)

    scenario.expect_firing("1h", [])
    scenario.expect_firing(LATER, [below("recall"), below("roc_auc")])
    scenario.check()


def test_flags_that_are_half_wrong_fire(scenario: Scenario) -> None:
    judged = Judged(5)
    wrong = np.full(int(judged.flagged.sum()), 450_000_000)
    judged.tally.count(wrong, np.zeros_like(wrong), np.zeros(len(wrong), np.bool_))
    tell(scenario, judged.tally)
    foretell(scenario, FORECAST)

    scenario.expect_firing(LATER, [below("precision")])
    scenario.check()


def test_a_few_frauds_are_no_evidence(scenario: Scenario) -> None:
    judged = Judged(6, count=3_000, found=0.3)
    assert 0 < judged.fraud.sum() < 50
    tell(scenario, judged.tally)
    foretell(scenario, FORECAST)

    scenario.expect_firing(LATER, [])
    scenario.check()


def test_a_model_without_a_forecast_is_not_judged(scenario: Scenario) -> None:
    tell(scenario, Judged(4, found=0.3).tally)

    scenario.expect_firing(LATER, [])
    scenario.check()


def test_labels_that_do_not_come_fire(scenario: Scenario) -> None:
    """Every payment counts as genuine then; a week is not needed to see that."""
    judged = Judged(7)
    judged.tally.bins[:, 0] += judged.tally.bins[:, 1]
    judged.tally.decisions[:, 0] += judged.tally.decisions[:, 1]
    judged.tally.bins[:, 1] = judged.tally.decisions[:, 1] = 0
    tell(scenario, judged.tally)
    foretell(scenario, FORECAST)

    scenario.expect_firing("1h", [])
    scenario.expect_firing(LATER, [MISSING])
    scenario.check()


LAST_POLL = "fraud_truth_last_poll_timestamp_seconds"


@pytest.mark.parametrize(
    ("series", "values", "fired"),
    [
        ("up", "1x70", []),
        ("up", "1x20 0x50", [DOWN]),
        (LAST_POLL, "0+240x70", []),
        (LAST_POLL, "0+240x20 4800x50", [DOWN]),
    ],
)
def test_a_process_that_counts_nothing_fires(
    scenario: Scenario, series: str, values: str, fired: list[Labels]
) -> None:
    scenario.series(series, values, **TRUTH)

    scenario.expect_firing("1h", [])
    scenario.expect_firing(LATER, fired)
    scenario.check()


def test_prometheus_scrapes_it_under_that_name() -> None:
    text = (ROOT / "deploy/prometheus/prometheus.yml").read_text()

    assert f"job_name: {JOB}\n" in text
    assert TRUTH["job"] == JOB


def test_fewer_frauds_than_expected_are_no_missing_labels(scenario: Scenario) -> None:
    judged = Judged(8)
    judged.tally.score_units = (judged.tally.score_units * 1.4).astype(np.int64)
    tell(scenario, judged.tally)

    scenario.expect_firing(LATER, [])
    scenario.check()
