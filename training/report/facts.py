"""What a report shows, as numbers: computed once, from the evaluated model.

Owns the measurements. Draws nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.fit import Evaluation, FitPlan, Prepared, fit
from training.importance import (
    Refit,
    feature_groups,
    permutation_drops,
    refits_without,
)
from training.labels import LabelReport
from training.progress import ProgressCallback, quiet
from training.split import DAY_MS, LabelledHistory, Windows, split
from worker.codec import published_scores
from worker.errors import InvalidConfig
from worker.features import Spec
from worker.scoring import Scorer

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

#: Weeks before the evaluated one on which the same settings are tried.
EARLIER_WEEKS = 3


@dataclass(frozen=True, slots=True)
class Week:
    """An evaluation, and how much each feature mattered in it: (n_features,)."""

    done: Evaluation
    drops: Floats


@dataclass(frozen=True, slots=True)
class LabelFacts:
    """When frauds happened and when they were known.

    Attributes
    ----------
    first_day_ms
        Start of the first day.
    transactions, frauds
        (days,) how many of each a day had, in all of the history.
    delays_days
        (n,) ascending: from each fraud to the day on which it was known.
    known_at_training, train_frauds
        How many of the training window's frauds were known when it ended, and how
        many it had in the end.
    labelled
        Transactions that have a label.
    """

    first_day_ms: int
    transactions: Integers
    frauds: Integers
    delays_days: Floats
    known_at_training: int
    train_frauds: int
    labelled: int


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """All that a report shows.

    Attributes
    ----------
    fraud, scores
        (n,) all transactions of the evaluation, as the worker would have scored them.
    weeks
        Evaluations of models fitted in the same way, the earliest first; the last is
        the one in the bundle.
    """

    spec: Spec
    plan: FitPlan
    fraud: Flags
    scores: Floats
    weeks: Sequence[Week]
    refits: Sequence[Refit]
    labels: LabelFacts

    @property
    def done(self) -> Evaluation:
        """The evaluation of the model in the bundle."""
        return self.weeks[-1].done


def earlier_windows(
    history: LabelledHistory, windows: Windows, plan: FitPlan
) -> list[Windows]:
    """Return some weeks before a window, as far as the history goes, oldest first."""
    step_ms = plan.lengths.test_days * DAY_MS
    found: list[Windows] = []
    for week in range(1, EARLIER_WEEKS + 1):
        earlier = Windows.ending(windows.until_ms - week * step_ms, plan.lengths)
        if earlier.begin_ms < history.event_time_ms[0] // DAY_MS * DAY_MS:
            break
        try:
            split(history, earlier)
        except InvalidConfig:  # nothing to learn from, or to evaluate on
            break
        found.insert(0, earlier)
    return found


def gather_facts(  # noqa: PLR0913 - a report is made of all this
    spec: Spec,
    data: Prepared,
    done: Evaluation,
    plan: FitPlan,
    *,
    earlier: Sequence[Windows] = (),
    history: LabelledHistory,
    labels: LabelReport,
    progress: ProgressCallback = quiet,
) -> ReportFacts:
    """Measure all that a report shows; takes a fit for each week and each group.

    Parameters
    ----------
    earlier
        Windows that the prepared data cover too.
    history
        All of it, not only what the windows see.
    """
    data = data.as_learnt_in(done.windows)
    groups = feature_groups(spec)
    total = len(earlier) + len(groups) + 1
    weeks = []
    for number, windows in enumerate(earlier, start=1):
        weeks.append(_week(data, fit(data, windows, plan), plan))
        progress(number, total)
    weeks.append(_week(data, done, plan))
    first = len(weeks)
    refits = refits_without(
        data,
        done,
        plan,
        groups,
        progress=lambda number, _: progress(first + number, total),
    )
    parts = split(data.history, done.windows)
    scorer = Scorer(done.model, feature_count=data.X.shape[1])
    return ReportFacts(
        spec=spec,
        plan=plan,
        fraud=data.history.fraud[parts.test_all],
        scores=published_scores(scorer.score(data.X[parts.test_all])),
        weeks=weeks,
        refits=list(refits),
        labels=_label_facts(history, done.windows, labels),
    )


def _week(data: Prepared, done: Evaluation, plan: FitPlan) -> Week:
    return Week(done, permutation_drops(data, done, seed=plan.seed))


def _label_facts(
    history: LabelledHistory, windows: Windows, labels: LabelReport
) -> LabelFacts:
    first_day_ms = int(history.event_time_ms[0]) // DAY_MS * DAY_MS
    day = (history.event_time_ms - first_day_ms) // DAY_MS
    fraud = history.fraud
    known_ms, time_ms = history.known_ms[fraud], history.event_time_ms[fraud]
    trained = (time_ms >= windows.first_ms) & (time_ms < windows.until_ms)
    return LabelFacts(
        first_day_ms=first_day_ms,
        transactions=np.bincount(day),
        frauds=np.bincount(day[fraud], minlength=int(day[-1]) + 1),
        delays_days=np.sort((known_ms - time_ms) / DAY_MS),
        known_at_training=int((trained & (known_ms <= windows.until_ms)).sum()),
        train_frauds=int(trained.sum()),
        labelled=labels.labelled,
    )
