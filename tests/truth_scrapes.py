"""What `fraud-worker truth` told, what Prometheus makes of it, and scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from prometheus_client.parser import text_string_to_metric_families
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from deploy.truth import Quality
from tests.live import LiveWorker, Stream
from tests.promtool import Scenario
from tests.reading_back import read_back
from tests.truth_builders import Scored, Truth
from worker.codec.score_reader import read_scores
from worker.truth.showing import BINS
from worker.truth.tally import EDGE_UNITS

WEEK = Quality("7d")

JUDGED_UNTIL = "truth_judged_until_timestamp_seconds"

#: Values of the series that a scrape found, by name and labels.
Scrape = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(truth: LiveWorker) -> Scrape:
    """Return what it tells; nothing of the process itself."""
    text = truth.served().get("/metrics", "")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("fraud_")
    }


def told(scraped: Scrape, name: str, **labels: str) -> float:
    return scraped.get((f"fraud_{name}", tuple(sorted(labels.items()))), 0.0)


def scores_on(stream: Stream) -> list[Scored]:
    """Return the scores as the topic holds them, each partition in its order."""
    found = read_scores([m.value() for m in read_back(stream.clients, stream.scores)])
    columns = zip(
        found.transaction_ids,
        found.event_time_ms.tolist(),
        (found.units / 10**9).tolist(),
        found.flagged.tolist(),
        found.model_versions,
        strict=True,
    )
    return [Scored(*row) for row in columns]


def scenario_of(scrapes: list[Scrape], directory: Path) -> Scenario:
    """Let Prometheus have scraped this, four minutes apart, and the last ever since."""
    directory.mkdir()
    scenario = Scenario(directory, step="4m")
    for name, labels in sorted({series for each in scrapes for series in each}):
        found = [each.get((name, labels)) for each in scrapes]
        values = ["_" if v is None else repr(v) for v in found]
        values[-1] += "x190"
        own = {"job": "fraud-truth", "instance": "t", **dict(labels)}
        scenario.series(name, " ".join(values), **own)
    return scenario


def assert_equal_to_scikit_learn(
    scenario: Scenario,
    last: Scrape,
    truth: Truth,
    *,
    version: str,
) -> str:
    """Compare what is told, and what rules make of it; return that in a sentence."""
    fraud, flagged = np.array(truth.fraud), np.array(truth.flagged)
    scores = np.array(truth.scores)
    units = np.rint(scores * 10**9).astype(np.int64)
    bins = np.searchsorted(EDGE_UNITS, units, side="right")
    model = {"model_version": version}
    for number, slot in enumerate(BINS):
        for is_fraud, label in ((False, "genuine"), (True, "fraud")):
            labels = {**model, "score_bin": slot, "label": label}
            expected = int(((bins == number) & (fraud == is_fraud)).sum())
            assert told(last, "truth_payments_total", **labels) == expected
    exact, binned = roc_auc_score(fraud, scores), roc_auc_score(fraud, bins)
    figures = {
        "precision": precision_score(fraud, flagged),
        "recall": recall_score(fraud, flagged),
        "roc_auc": binned,
        "calibration": scores.sum() / fraud.sum(),
        "flag": flagged.mean(),
        "base": fraud.mean(),
    }
    for figure, number_ in figures.items():
        scenario.expect_value("12h", WEEK.ratio(figure), float(number_), **model)
    scenario.check()
    ties = np.bincount(bins[fraud], minlength=len(BINS)) @ np.bincount(
        bins[~fraud], minlength=len(BINS)
    )
    bound = ties / (2 * fraud.sum() * (~fraud).sum())
    assert 0 < abs(binned - exact) <= bound
    return (
        f"{len(fraud)} payments, {fraud.sum()} frauds, {flagged.sum()} flagged: "
        f"precision {figures['precision']:.6f} and recall {figures['recall']:.6f} "
        f"as scikit-learn's; AUC {binned:.6f} in bins, {exact:.6f} exactly: "
        f"off by {abs(binned - exact):.1e}, at most {bound:.1e}"
    )
