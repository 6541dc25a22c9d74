"""The page around the plots: one file, without scripts and without anything to load.

Owns the sections, their words and their looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib import resources

import numpy as np

from training.report.charts import budget_plot, calibration_plot, distribution_plot
from training.report.context import (
    delay_plot,
    history_plot,
    importance_plot,
    refit_plot,
    weeks_plot,
)
from training.report.facts import ReportFacts
from training.split import DAY_MS, period

#: Forbids the page to load anything at all.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

_LEGEND = '<i class="key {0}"></i>{1}'


def render_report(facts: ReportFacts, *, version: str) -> str:
    """Return the report of a bundle as HTML."""
    style = (resources.files("training.report") / "page.css").read_text("utf-8")
    name = escape(f"{facts.spec.name} {version}")
    sections = "\n".join(_sections(facts))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{name}</h1>
<p>{escape(_subtitle(facts))}</p>
</header>
<main>
{_tiles(facts)}
{sections}
</main>
</body>
</html>
"""


def _subtitle(facts: ReportFacts) -> str:
    windows, done = facts.done.windows, facts.done
    delay = (windows.test_first_ms - windows.until_ms) / DAY_MS
    return (
        f"{done.engine}, {len(facts.spec.feature_names)} features. "
        f"Trained on {period(windows.first_ms, windows.until_ms)} "
        f"({done.train_rows:,} transactions, {done.train_frauds:,} frauds), evaluated "
        f"on {period(windows.test_first_ms, windows.test_until_ms)}, after a label "
        f"delay of {delay:g} days."
    )


def _tiles(facts: ReportFacts) -> str:
    done = facts.done
    tiles = (
        ("average precision", f"{done.ranking.average_precision:.3f}"),
        ("ROC AUC", f"{done.ranking.roc_auc:.3f}"),
        ("card precision at 100", f"{done.ranking.card_precision:.3f}"),
        ("alerts a day", f"{done.alerts.per_day:.1f}"),
        ("alerts that were frauds", f"{done.alerts.precision:.0%}"),
        ("frauds found", f"{done.alerts.recall:.0%}"),
    )
    cells = "".join(
        f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in tiles
    )
    return f'<dl class="tiles">{cells}</dl>'


def _sections(facts: ReportFacts) -> Iterator[str]:
    """Yield the sections in the order in which a person asks."""
    yield from _score_sections(facts)
    yield from _feature_sections(facts)
    yield from _label_sections(facts)


def _score_sections(facts: ReportFacts) -> Iterator[str]:
    threshold = facts.done.alerts.threshold
    yield _figure(
        "budget",
        "What an alert budget brings",
        budget_plot(facts),
        f"All {len(facts.scores):,} transactions of the evaluation, ranked by score. "
        f"The dashed line is the threshold in the bundle, {threshold!r}.",
        _keys(("one", "precision: alerts that were frauds"),
              ("two", "recall: frauds among the alerts")),
    )  # fmt: skip
    yield _figure(
        "distribution",
        "Which scores they get",
        distribution_plot(facts),
        "Scores of frauds and of genuine transactions, each as shares of their class.",
        _keys(("two", "frauds"), ("grey", "genuine")),
    )
    yield _figure(
        "calibration",
        "What a score means",
        calibration_plot(facts),
        "Each point stands for at least 20 transactions of like scores. On the dashed "
        "line, scores are probabilities. Bars: 95 percent intervals (Wilson).",
    )


def _feature_sections(facts: ReportFacts) -> Iterator[str]:
    weeks = len(facts.weeks)
    yield _figure(
        "weeks",
        "How stable it is",
        weeks_plot(facts),
        f"The same settings, fitted anew for each of {weeks} "
        f"evaluation{'s' * (weeks > 1)}; the last one is this model. Customers known "
        "as victims before are left out, as in the Fraud Detection Handbook.",
    )
    yield _figure(
        "importance",
        "Which features help",
        importance_plot(facts),
        "How much average precision is lost when one feature is shuffled among the "
        "transactions of an evaluation, which the model has not seen.",
        _keys(("one", "mean"), ("week", "each week")),
    )
    yield _refits(facts)


def _label_sections(facts: ReportFacts) -> Iterator[str]:
    yield _figure(
        "delay",
        "When frauds are known",
        delay_plot(facts),
        _delay_words(facts),
    )
    yield _figure(
        "history",
        "What it learnt from",
        history_plot(facts),
        "Share of the transactions that were frauds: by day, and over 7 days.",
        _keys(
            ("fine", "a day"),
            ("ink", "7 days"),
            ("one", "training"),
            ("two", "evaluation"),
        ),
    )


def _refits(facts: ReportFacts) -> str:
    title = "Which features would be missed"
    if not facts.refits:
        return _figure("refits", title, "", "There is only one group of features.")
    return _figure(
        "refits",
        title,
        refit_plot(facts),
        "How much average precision the last evaluation loses when the model is fitted "
        "without a whole group (in brackets: its features). Below 0, it got better; "
        "differences of a hundredth are within the noise of one week.",
    )


def _delay_words(facts: ReportFacts) -> str:
    labels = facts.labels
    rows, frauds = int(labels.transactions.sum()), int(labels.frauds.sum())
    middle, late = np.quantile(labels.delays_days, [0.5, 0.95]).tolist()
    return (
        f"Of {rows:,} transactions {labels.labelled / rows:.1%} have a label; "
        f"{frauds:,} are frauds, and those without a label count as genuine. "
        f"Half of the frauds are known after {middle:.1f} days, 95 percent after "
        f"{late:.1f}. When training ended, {labels.known_at_training:,} of its "
        f"{labels.train_frauds:,} frauds were known; the model learnt from the "
        f"{facts.done.train_frauds:,} that were known when the evaluation began."
    )


def _figure(name: str, title: str, plot: str, words: str, legend: str = "") -> str:
    return (
        f'<figure id="{name}"><h2>{escape(title)}</h2>\n{plot}\n{legend}'
        f"<figcaption>{escape(words)}</figcaption></figure>"
    )


def _keys(*keys: tuple[str, str]) -> str:
    spans = "".join(
        f"<span>{_LEGEND.format(style, escape(words))}</span>" for style, words in keys
    )
    return f'<p class="legend">{spans}</p>\n'
