"""Fits a model on one window of history and evaluates it on the week after the gap.

Owns the sequence: window, features, model, scores, threshold. Writes nothing; the
model that is returned is the one that was evaluated, never fitted again on more.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.featurize import feature_matrix
from training.metrics import Alerts, Ranking, alerts_at, rank, threshold_for_budget
from training.models import ModelKind, fit_model
from training.progress import ProgressCallback, quiet
from training.split import (
    LabelledHistory,
    Split,
    SplitPlan,
    Windows,
    day_of_evaluation,
    split,
)
from training.vocabularies import (
    learn_vocabularies,
    learnt_columns,
    without_vocabularies,
)
from worker.codec import published_scores
from worker.errors import InvalidConfig
from worker.features import Spec
from worker.records import EventBatch
from worker.scoring import Scorer

Floats = NDArray[np.float64]
Rows = slice | NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class FitPlan:
    """How to fit and to evaluate.

    Attributes
    ----------
    alerts_per_day
        How many flagged transactions a day people can look at: decides the threshold.
    """

    kind: ModelKind = "hgb"
    seed: int = 0
    lengths: SplitPlan = field(default_factory=SplitPlan)
    alerts_per_day: int = 100

    def __post_init__(self) -> None:
        limits = (
            ("days of training", self.lengths.train_days, 1),
            ("days of evaluation", self.lengths.test_days, 1),
            ("alerts per day", self.alerts_per_day, 1),
            ("label delay", self.lengths.label_delay_ms, 0),
            ("seed", self.seed, 0),
        )
        problems = [
            f"{name}: {value} is less than {least}"
            for name, value, least in limits
            if value < least
        ]
        if problems:
            raise InvalidConfig(problems, subject="plan")


@dataclass(frozen=True, slots=True)
class Prepared:
    """The part of history that some windows can see, with its features.

    Attributes
    ----------
    spec
        As its author wrote it.
    learnt
        The same with the vocabularies by which X codes its categories.
    X
        (n, n_features) float64, the features of `events`.
    learnt_in
        Where the vocabularies were learnt; None before.
    """

    spec: Spec
    learnt: Spec
    events: EventBatch
    history: LabelledHistory
    X: Floats
    learnt_in: Windows | None = None

    def as_learnt_in(self, windows: Windows) -> Prepared:
        """Return the data with categories coded by what a training window had."""
        if not self.spec.unlearnt or windows == self.learnt_in:
            return self
        train = split(self.history, windows).train
        learnt = learn_vocabularies(self.spec, self.events, train)
        X = self.X.copy()
        for place, column in learnt_columns(self.spec, learnt, self.events):
            X[:, place] = column
        return replace(self, learnt=learnt, X=X, learnt_in=windows)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model, what it learnt from, and how good it was in the week after the gap.

    Attributes
    ----------
    train
        Rows of the prepared data that the model learnt from.
    ranking
        Without customers whose card was known to be compromised: the protocol.
    ranking_all
        With all transactions of the week.
    alerts
        On all transactions of the week, as the worker scores them all.
    """

    windows: Windows
    model: Any
    engine: str
    fit_seconds: float
    train: slice
    train_rows: int
    train_frauds: int
    test_rows: int
    test_frauds: int
    ranking: Ranking
    ranking_all: Ranking
    alerts: Alerts

    def figures(self) -> Mapping[str, float]:
        """Return what the bundle keeps; a figure that does not exist is left out."""
        figures = {**self.ranking.figures(), **self.alerts.figures()}
        return {name: value for name, value in figures.items() if np.isfinite(value)}


def prepare(
    spec: Spec,
    events: EventBatch,
    history: LabelledHistory,
    windows: Sequence[Windows],
    *,
    progress: ProgressCallback = quiet,
) -> Prepared:
    """Compute the features that some windows need, the earliest of them first.

    Events that are older than the spec's memory cannot change them and are left out.

    Raises
    ------
    InvalidConfig
        Where a window has no transaction or no fraud: told before the work.
    """
    _check(history, windows)
    bounds = [windows[0].begin_ms - spec.retention_ms, windows[-1].test_until_ms]
    start, stop = np.searchsorted(events.event_time_ms, bounds)
    rows = slice(int(start), int(stop))
    part, labelled = events.take(rows), history.take(rows)
    learnt = without_vocabularies(spec)
    X = feature_matrix(learnt, part, history=labelled, progress=progress)
    return Prepared(spec, learnt, part, labelled, X)


def _check(history: LabelledHistory, windows: Sequence[Windows]) -> None:
    problems: list[str] = []
    for window in windows:
        try:
            split(history, window)
        except InvalidConfig as error:
            problems += error.problems
    if problems:
        raise InvalidConfig(problems, subject="time split")


def fit(data: Prepared, windows: Windows, plan: FitPlan) -> Evaluation:
    """Fit a model on a window, evaluate it on the next, and choose its threshold.

    Vocabularies are learnt in the same window as the model.

    Raises
    ------
    InvalidConfig
        Where a window has no transaction or no fraud.
    """
    parts = split(data.history, windows)
    data = data.as_learnt_in(windows)
    began = time.perf_counter()
    model = fit_model(plan.kind, data.X[parts.train], parts.train_fraud, seed=plan.seed)
    fit_seconds = time.perf_counter() - began
    scorer = Scorer(model, feature_count=data.X.shape[1])
    scores = published_scores(scorer.score(data.X[parts.test_all]))
    budget = plan.alerts_per_day * plan.lengths.test_days
    fraud = data.history.fraud
    return Evaluation(
        windows=windows,
        model=model,
        engine=scorer.engine,
        fit_seconds=fit_seconds,
        train=parts.train,
        train_rows=parts.train.stop - parts.train.start,
        train_frauds=int(parts.train_fraud.sum()),
        test_rows=len(parts.test),
        test_frauds=int(fraud[parts.test].sum()),
        ranking=_rank(data.history, parts, parts.test, scores),
        ranking_all=_rank(data.history, parts, parts.test_all, scores),
        alerts=alerts_at(
            threshold_for_budget(scores, alerts=budget),
            fraud[parts.test_all],
            scores,
            days=plan.lengths.test_days,
        ),
    )


def _rank(
    history: LabelledHistory, parts: Split, rows: Rows, scores: Floats
) -> Ranking:
    """Measure some rows of the evaluation; scores are those of all its rows."""
    of_these = (
        scores if isinstance(rows, slice) else scores[rows - parts.test_all.start]
    )
    return rank(
        history.fraud[rows],
        of_these,
        day=day_of_evaluation(history, parts.windows, rows),
        customer=history.customer[rows],
    )
