"""The card of a model: what it learnt from, how good it is, what it looks at.

Owns the words. Says nothing that the manifest, the spec and the report do not know.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from training.report import ReportFacts
from training.report.facts import Week
from training.split import DAY_MS, period
from worker.bundle import Manifest
from worker.codec import format_times
from worker.features import Spec
from worker.scoring.words import duration, phrase

_MEASURED = "Measured when it was trained:"

_USE = """\
It gives each transaction of a stream a probability of fraud, from the transaction and
from what its {who} did before.
A person or a rule decides what happens to a flagged transaction."""

#: How many features the card says to have helped most.
_NAMED = 5

_EVALUATION = """\
Evaluated on {period}: {rows:,} transactions, {frauds:,} of them frauds, of customers
that were not known as victims when their day began. Between training and evaluation
lie {delay} days, in which frauds become known. The weeks before were each evaluated in
the same way, with a model ({model}) fitted anew; `report.html` shows more."""

_THRESHOLD = """\
A transaction is flagged when its score, rounded to 9 digits, is at least {threshold!r}.
A lower threshold finds more frauds and raises more false alarms."""

_LIMITS = """\
- It knows the kinds of fraud that it was trained on; a new kind goes unseen until it
  is trained again.
- A {who} without transactions in the windows looks like a new one.
- Its memory reaches {horizon} back. Transactions more than {lateness} late are scored
  and not remembered.
- Scores put transactions in order. That a score of 0.2 means one fraud in five is
  not claimed."""


def write_card(manifest: Manifest, spec: Spec, facts: ReportFacts | None = None) -> str:
    """Return the card of a bundle as Markdown.

    Parameters
    ----------
    facts
        With them, the card names the evaluation and what helped in it.
    """
    who = _entity(spec)
    sections = [
        f"# {manifest.spec} {manifest.version}",
        f"{manifest.model}, {len(spec.feature_names)} features per transaction.",
        "## Intended use",
        _USE.format(who=who),
        "## Data",
        _data(manifest),
        "## Quality",
        _metrics(manifest),
        *(() if facts is None else _evaluation(facts)),
        "## Threshold",
        _THRESHOLD.format(threshold=manifest.threshold),
        "## Features",
        _features(spec),
        "## Limits",
        _LIMITS.format(
            who=who,
            horizon=duration(spec.horizon_ms),
            lateness=duration(spec.allowed_lateness_ms),
        ),
    ]
    return "\n\n".join(sections) + "\n"


def _entity(spec: Spec) -> str:
    return " and the ".join(entity.name for entity in spec.entities)


def _data(manifest: Manifest) -> str:
    window = manifest.data_window
    first, last = format_times(np.array([window.first_ms, window.last_ms]))
    share = window.frauds / window.rows if window.rows else 0.0
    return (
        f"Trained on {window.rows:,} transactions from {first} to {last}, "
        f"of which {window.frauds:,} ({share:.3%}) were known to be frauds."
    )


def _evaluation(facts: ReportFacts) -> Iterator[str]:
    windows, plan = facts.done.windows, facts.plan
    delay = (windows.test_first_ms - windows.until_ms) / DAY_MS
    yield "## Evaluation"
    yield _EVALUATION.format(
        rows=facts.done.test_rows,
        frauds=facts.done.test_frauds,
        period=period(windows.test_first_ms, windows.test_until_ms),
        delay=f"{delay:g}",
        model=plan.kind,
    )
    head = "| evaluated on | average precision | ROC AUC | card precision at 100 |"
    yield "\n".join([head, "|---|---|---|---|", *map(_week_row, facts.weeks)])
    drops = facts.weeks[-1].drops
    best = np.argsort(-drops, kind="stable")[:_NAMED].tolist()
    yield "Shuffling these features costs most average precision:\n\n" + "\n".join(
        f"- `{facts.spec.feature_names[column]}`: {drops[column]:.4f}"
        for column in best
        if drops[column] > 0
    )


def _week_row(week: Week) -> str:
    windows, ranking = week.done.windows, week.done.ranking
    figures = (ranking.average_precision, ranking.roc_auc, ranking.card_precision)
    cells = " | ".join(f"{figure:.4f}" for figure in figures)
    return f"| {period(windows.test_first_ms, windows.test_until_ms)} | {cells} |"


def _features(spec: Spec) -> str:
    return "\n".join(
        f"- `{feature.name}`: {phrase(feature, spec)}"
        for feature in spec.features
        if feature.output
    )


def _metrics(manifest: Manifest) -> str:
    if not manifest.metrics:
        return "Not measured."
    rows = [f"| {name} | {value:.6g} |" for name, value in manifest.metrics.items()]
    return "\n".join([_MEASURED, "", "| measure | value |", "|---|---|", *rows])
