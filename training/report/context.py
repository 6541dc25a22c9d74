"""The plots about features, weeks and labels."""

from __future__ import annotations

import numpy as np

from training.report.facts import ReportFacts, Week
from training.report.scales import Scale, linear, percent
from training.report.svg import BOTTOM, TOP, Plot
from training.split import DAY_MS, last_day

#: The most rows of a plot with bars, and the pixels of each.
MOST_BARS, BAR_PIXELS = 14, 21

#: Pixels left of the bars, for their names.
NAMES = 236

#: Days over which a transaction count is averaged.
SMOOTHING_DAYS = 7


def importance_plot(facts: ReportFacts) -> str:
    """What shuffling each feature costs: the mean of the weeks, and each week."""
    drops = np.array([week.drops for week in facts.weeks])
    means = drops.mean(axis=0)
    order = np.argsort(-means, kind="stable")[:MOST_BARS].tolist()
    names = [facts.spec.feature_names[column] for column in order]
    low = min(0.0, float(drops[:, order].min()))
    plot = _bars("What shuffling a feature costs", names, low, float(drops.max()))
    for row, column in enumerate(order):
        hint = f"{names[row]}: {means[column]:.4f}"
        plot.bar(-row, float(means[column]), "one", hint)
        for week in facts.weeks:
            where = float(week.drops[column]), -row
            plot.dot(where, "week", radius=2.5, hint=f"{_week(week)}: {where[0]:.4f}")
    return plot.svg()


def refit_plot(facts: ReportFacts) -> str:
    """What a fit without a group of features loses."""
    reached = facts.done.ranking.average_precision
    losses = [
        (reached - refit.average_precision, refit.group) for refit in facts.refits
    ]
    losses.sort(key=lambda loss: -loss[0])
    shown = losses[:MOST_BARS]
    names = [
        f"{group.name.replace('_', ' ')} ({len(group.columns)})" for _, group in shown
    ]
    values = [loss for loss, _ in shown]
    plot = _bars("What a fit without them loses", names, min(0.0, *values), max(values))
    for row, value in enumerate(values):
        style = "two" if value >= 0 else "grey"
        plot.bar(-row, value, style, f"{names[row]}: {value:+.4f}")
    return plot.svg()


def weeks_plot(facts: ReportFacts) -> str:
    """How good models of the same kind were, week after week."""
    count = len(facts.weeks)
    ticks = [(float(i), _week(week)) for i, week in enumerate(facts.weeks)]
    plot = Plot(
        "Quality of each week",
        Scale(-0.5, count - 0.5, float, ticks),
        linear(0, 1, "{:.1f}".format),
        x_label="last day of the evaluation",
    )
    for name, style, values in (
        ("ROC AUC", "grey", [w.done.ranking.roc_auc for w in facts.weeks]),
        ("average precision", "one",
         [w.done.ranking.average_precision for w in facts.weeks]),
        ("card precision at 100", "two",
         [w.done.ranking.card_precision for w in facts.weeks]),
    ):  # fmt: skip
        points = [(float(i), value) for i, value in enumerate(values)]
        plot.line(points, style)
        for point, week in zip(points, facts.weeks, strict=True):
            plot.dot(point, style, hint=f"{_week(week)}: {name} {point[1]:.3f}")
        plot.words((-0.5, values[0]), name, f"mark {style}", dx=6, dy=-9)
    return plot.svg()


def delay_plot(facts: ReportFacts) -> str:
    """How long it took until frauds were known."""
    delays = facts.labels.delays_days
    longest = max(float(delays[-1]) * 1.1, 1.0)
    plot = Plot(
        "Share of the frauds that are known after some days",
        linear(0, longest, "{:g}".format, count=8),
        linear(0, 1, percent),
        x_label="days after the transaction",
        y_label="frauds known",
    )
    shares = np.arange(1, len(delays) + 1) / len(delays)
    keep = np.unique(np.linspace(0, len(delays) - 1, 200).astype(np.int64))
    points = [(0.0, 0.0), (float(delays[0]), 0.0)]
    points += zip(delays[keep].tolist(), shares[keep].tolist(), strict=True)
    plot.area([*points, (longest, 1.0)], "two")
    plot.line([*points, (longest, 1.0)], "two")
    return plot.svg()


def history_plot(facts: ReportFacts) -> str:
    """Frauds a day over all of the history, with the windows of this model."""
    labels, windows = facts.labels, facts.done.windows
    share = labels.frauds / np.maximum(labels.transactions, 1)
    days = len(share)
    top = float(share.max()) * 1.15 or 1.0
    marks = np.unique(np.linspace(0, days - 1, 6).astype(np.int64)).tolist()
    ticks = [
        (float(d), last_day(labels.first_day_ms + (d + 1) * DAY_MS)[5:]) for d in marks
    ]
    plot = Plot(
        "Share of frauds by day",
        Scale(0, float(days), float, ticks),
        linear(0, top, lambda value: percent(round(value, 6)), count=4),
        x_label="day",
    )
    for first, last, style in (
        (windows.first_ms, windows.until_ms, "one"),
        (windows.test_first_ms, windows.test_until_ms, "two"),
    ):
        start, end = ((ms - labels.first_day_ms) / DAY_MS for ms in (first, last))
        plot.band(start, end, style)
    plot.line(((day + 0.5, value) for day, value in enumerate(share.tolist())), "fine")
    kernel = np.ones(min(SMOOTHING_DAYS, days))
    smooth = np.convolve(labels.frauds, kernel, "valid") / np.maximum(
        np.convolve(labels.transactions, kernel, "valid"), 1
    )
    shift = len(kernel) / 2
    plot.line(
        ((day + shift, value) for day, value in enumerate(smooth.tolist())), "ink"
    )
    return plot.svg()


def _bars(title: str, names: list[str], low: float, high: float) -> Plot:
    """Return a plot of lying bars: one row for each name, downwards from 0."""
    ticks = [(float(-row), name) for row, name in enumerate(names)]
    return Plot(
        title,
        linear(low * 1.06, max(high * 1.06, 1e-4), "{:.6g}".format, count=4),
        Scale(0.5 - len(names), 0.5, float, ticks),
        x_label="average precision lost",
        height=TOP + BOTTOM + BAR_PIXELS * len(names),
        left=NAMES,
    )


def _week(week: Week) -> str:
    return last_day(week.done.windows.test_until_ms)[5:]
