"""Evaluations as tables.

Owns the words; computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from training.evaluate import mean_ranking
from training.fit import Evaluation
from training.handbook import NOTE, Published
from training.metrics import Alerts, Ranking
from training.split import Windows, period
from training.tables import table_lines

_HEAD = ["average precision", "ROC AUC", "card precision at 100"]


def fit_lines(done: Evaluation, published: Sequence[Published]) -> Iterator[str]:
    """Yield what one fit learnt from, how good it is, and what its threshold means."""
    yield _window_line("trained on", done, training=True)
    yield _window_line("evaluated on", done, training=False)
    best = done.ranking.best_card_precision
    rows = [
        ["this model", *_cells(done.ranking)],
        ["  with known victims", *_cells(done.ranking_all)],
        ["  perfect scores", "1.000", "1.000", f"{best:.3f}"],
        *(_published_row(figure) for figure in published),
    ]
    yield from table_lines([done.engine, *_HEAD], rows, "<>>>")
    if published:
        yield f"  {NOTE}"
    yield alert_line(done.alerts)


def week_lines(
    weeks: Sequence[Evaluation], published: Sequence[Published]
) -> Iterator[str]:
    """Yield a row for each week, their mean, and the published figures."""
    mean, deviation = mean_ranking([week.ranking for week in weeks])
    mean_all, _ = mean_ranking([week.ranking_all for week in weeks])
    rows = [
        [
            _test_period(week.windows),
            f"{week.train_rows:,}",
            f"{week.train_frauds:,}",
            f"{week.test_rows:,}",
            f"{week.test_frauds:,}",
            *_cells(week.ranking),
            f"{week.ranking_all.average_precision:.3f}",
        ]
        for week in weeks
    ]
    blanks = [""] * 4
    all_mean = f"{mean_all.average_precision:.3f}"
    rows.append(["mean", *blanks, *_cells(mean), all_mean])
    rows.append(["standard deviation", *blanks, *_cells(deviation), ""])
    rows += [
        [figure[0], *blanks, *figure[1:], ""]
        for figure in map(_published_row, published)
    ]
    head = ["evaluated on", "trained on", "frauds", "rows", "frauds", *_HEAD]
    yield from table_lines([*head, "with known victims"], rows, "<>>>>>>>>")
    if published:
        yield f"  {NOTE}"


def week_facts(
    weeks: Sequence[Evaluation], published: Sequence[Published]
) -> dict[str, Any]:
    """Return the same as JSON has it: figures of each week, their mean, and others'."""
    mean, deviation = mean_ranking([week.ranking for week in weeks])
    mean_all, _ = mean_ranking([week.ranking_all for week in weeks])
    return {
        "model": weeks[-1].engine,
        "weeks": [_week_facts(week) for week in weeks],
        "mean": mean.figures(),
        "standard_deviation": deviation.figures(),
        "mean_with_known_victims": mean_all.figures(),
        "published": [figure._asdict() for figure in published],
    }


def alert_line(alerts: Alerts) -> str:
    """Say what a threshold means for the people who read the alerts."""
    return (
        f"threshold {alerts.threshold!r}: {alerts.per_day:.1f} alerts a day, "
        f"{alerts.precision:.1%} of them frauds, "
        f"{alerts.recall:.1%} of the frauds found"
    )


def _window_line(what: str, done: Evaluation, *, training: bool) -> str:
    if training:
        window = period(done.windows.first_ms, done.windows.until_ms)
        rows, frauds, rest = done.train_rows, done.train_frauds, ""
    else:
        window = _test_period(done.windows)
        rows, frauds = done.test_rows, done.test_frauds
        rest = ", without customers known as victims before"
    return f"{what} {window}: {rows:,} transactions, {frauds:,} frauds{rest}"


def _week_facts(week: Evaluation) -> dict[str, Any]:
    windows = week.windows
    return {
        "trained_on": period(windows.first_ms, windows.until_ms),
        "evaluated_on": _test_period(windows),
        "train_rows": week.train_rows,
        "train_frauds": week.train_frauds,
        "test_rows": week.test_rows,
        "test_frauds": week.test_frauds,
        "figures": week.ranking.figures(),
        "with_known_victims": week.ranking_all.figures(),
    }


def _test_period(windows: Windows) -> str:
    return period(windows.test_first_ms, windows.test_until_ms)


def _cells(ranking: Ranking) -> list[str]:
    figures = (ranking.average_precision, ranking.roc_auc, ranking.card_precision)
    return [f"{figure:.3f}" for figure in figures]


def _published_row(figure: Published) -> list[str]:
    name, *values = figure
    return [f"published: {name}", *(f"{value:.3f}" for value in values)]
