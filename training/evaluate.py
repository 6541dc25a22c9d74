"""Prequential evaluation: week after week, train on what was known, test on what came.

Owns the sequence of weeks and their mean. Source: chapter 5 of the Fraud Detection
Handbook (Le Borgne et al., 2022).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from training.fit import Evaluation, FitPlan, Prepared, fit
from training.metrics import Ranking
from training.progress import ProgressCallback, quiet
from training.split import DAY_MS, LabelledHistory, Windows, latest_until_ms
from worker.errors import InvalidConfig


def week_windows(
    history: LabelledHistory, plan: FitPlan, *, weeks: int, until_ms: int | None = None
) -> list[Windows]:
    """Return the windows of consecutive evaluations, the first one first.

    Parameters
    ----------
    until_ms
        End of the first training window; by default so that the last evaluation ends
        with the last whole day of the data.

    Raises
    ------
    InvalidConfig
        Where there is not one week.
    """
    if weeks < 1:
        raise InvalidConfig([f"weeks: {weeks} is less than 1"], subject="plan")
    step_ms = plan.lengths.test_days * DAY_MS
    if until_ms is None:
        until_ms = latest_until_ms(history, plan.lengths) - (weeks - 1) * step_ms
    return [
        Windows.ending(until_ms + week * step_ms, plan.lengths) for week in range(weeks)
    ]


def evaluate(
    data: Prepared,
    windows: Sequence[Windows],
    plan: FitPlan,
    *,
    progress: ProgressCallback = quiet,
) -> Iterator[Evaluation]:
    """Yield the evaluation of a model fitted anew for each of some windows."""
    for week, window in enumerate(windows, start=1):
        yield fit(data, window, plan)
        progress(week, len(windows))


def mean_ranking(rankings: Sequence[Ranking]) -> tuple[Ranking, Ranking]:
    """Return the mean of each figure over the weeks, and its standard deviation."""
    values = np.array([list(ranking.figures().values()) for ranking in rankings])
    return Ranking(*values.mean(axis=0).tolist()), Ranking(*values.std(axis=0).tolist())
