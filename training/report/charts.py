"""The plots about scores: what an alert budget brings, and what a score means."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.report.facts import ReportFacts
from training.report.scales import Scale, linear, log_odds, logarithmic, percent
from training.report.svg import Plot

Floats = NDArray[np.float64]

#: Alert budgets are shown up to so many times the one in use.
BUDGETS = 10

#: Bins of the calibration, of equal width on its axis; with fewer scores than that,
#: a bin shows nothing but chance.
BINS, LEAST_IN_BIN = 12, 20

#: Steps of the distribution of scores.
STEPS = 44

#: Shares that are written beside an axis of their square roots.
_SHARES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)

#: Two-sided 95 percent of a normal distribution, in standard deviations.
_Z = 1.96


def budget_plot(facts: ReportFacts) -> str:
    """Precision and recall against the number of alerts a day."""
    days = facts.plan.lengths.test_days
    budget = facts.plan.alerts_per_day
    order = np.argsort(-facts.scores, kind="stable")
    hits = np.cumsum(facts.fraud[order])
    most = min(BUDGETS * budget * days, len(order))
    alerts = np.unique(np.geomspace(max(days // 2, 1), most, 160).astype(np.int64))
    per_day = (alerts / days).tolist()
    precision = (hits[alerts - 1] / alerts).tolist()
    recall = (hits[alerts - 1] / max(int(hits[-1]), 1)).tolist()
    plot = Plot(
        "Precision and recall against alerts a day",
        logarithmic(per_day[0], max(per_day[-1], 2 * per_day[0]), "{:g}".format),
        linear(0, 1, percent),
        x_label="alerts a day",
    )
    at = facts.done.alerts
    plot.stroke((at.per_day, 0), (at.per_day, 1), "rule")
    for name, values, style, chosen in (
        ("precision", precision, "one", at.precision),
        ("recall", recall, "two", at.recall),
    ):
        plot.line(zip(per_day, values, strict=True), style)
        if at.per_day:
            plot.dot((at.per_day, chosen), style, hint=f"{name} {percent(chosen)}")
            text = f"{name} {chosen:.0%}"
            is_high = (name == "precision") == (at.precision >= at.recall)
            plot.words(
                (at.per_day, chosen),
                text,
                f"mark {style}",
                dx=8,
                dy=-8 if is_high else 18,
            )
    return plot.svg()


def calibration_plot(facts: ReportFacts) -> str:
    """Share of frauds against score, with the uncertainty of each share."""
    low = 10.0 ** np.floor(np.log10(max(float(facts.scores.min()), 1e-5)))
    scale = logarithmic(low, 1.0, percent)
    plot = Plot(
        "Share of frauds against score",
        scale,
        scale,
        x_label="mean score",
        y_label="share that were frauds",
    )
    plot.stroke((low, low), (1, 1), "rule")
    points = []
    for rows in _bins(facts.scores, scale):
        score = float(facts.scores[rows].mean())
        hits, count = int(facts.fraud[rows].sum()), len(rows)
        share, least, greatest = _interval(hits, count)
        plot.stroke((score, least), (score, greatest), "range one")
        hint = f"score {percent(round(score, 6))}: {hits:,} of {count:,} frauds"
        points.append((score, share, hint))
    plot.line([(score, share) for score, share, _ in points if share > 0], "one")
    for score, share, hint in points:
        plot.dot((score, share), "one", hint=hint)
    return plot.svg()


def distribution_plot(facts: ReportFacts) -> str:
    """How scores of frauds and of genuine transactions are spread."""
    scores = np.clip(facts.scores, 1e-5, 0.999)
    low, high = float(scores.min()), float(scores.max())
    scale = log_odds(low * 0.9, min(high * 1.05, 0.9991))
    places = np.array([scale.at(float(score)) for score in scores])
    edges = np.linspace(0, 1, STEPS + 1)
    heights = [
        np.histogram(places[facts.fraud == is_fraud], edges)[0]
        / max(int((facts.fraud == is_fraud).sum()), 1)
        for is_fraud in (False, True)
    ]
    top = float(max(each.max() for each in heights)) ** 0.5
    plot = Plot(
        "Distribution of scores of frauds and of genuine transactions",
        scale,
        Scale(
            0, top * 1.05, float, [(share**0.5, percent(share)) for share in _SHARES]
        ),
        x_label="score",
        y_label="share of the class (root scale)",
    )
    middles = [
        _score_at(scale.low, scale.high, x) for x in (edges[1:] + edges[:-1]) / 2
    ]
    for each, style in zip(heights, ("grey", "two"), strict=True):
        points = list(zip(middles, np.sqrt(each).tolist(), strict=True))
        plot.area(points, style)
        plot.line(points, style)
    threshold = facts.done.alerts.threshold
    plot.stroke((threshold, 0), (threshold, top), "rule")
    plot.words((threshold, top), f"threshold {threshold:.3g}", "note", dx=6, dy=8)
    return plot.svg()


def _score_at(low: float, high: float, place: float) -> float:
    """Return the score that lies at a place of an axis of log odds."""
    first, last = (np.log(p / (1 - p)) for p in (low, high))
    return float(1 / (1 + np.exp(-(first + place * (last - first)))))


def _bins(scores: Floats, scale: Scale) -> list[NDArray[np.intp]]:
    """Rows by rising score, one part for each bin that has enough of them."""
    order = np.argsort(scores, kind="stable")
    places = np.array([scale.at(float(score)) for score in scores[order]])
    edges = np.searchsorted(places, np.linspace(0, 1, BINS + 1)[1:-1])
    return [rows for rows in np.split(order, edges) if len(rows) >= LEAST_IN_BIN]


def _interval(hits: int, count: int) -> tuple[float, float, float]:
    """Return a share with its 95 percent interval.

    Source: Wilson, "Probable inference, the law of succession, and statistical
    inference", Journal of the American Statistical Association 22 (1927).
    """
    share, z = hits / count, _Z * _Z / count
    middle = (share + z / 2) / (1 + z)
    half = _Z / (1 + z) * float(np.sqrt(share * (1 - share) / count + z / count / 4))
    return share, middle - half, middle + half
