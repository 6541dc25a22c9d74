"""Which features help: by shuffling them, and by doing without them.

Owns both measurements and the groups of features. Fits through `training.fit`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from training.fit import Evaluation, FitPlan, Prepared, fit
from training.progress import ProgressCallback, quiet
from training.split import split
from worker.features import Spec
from worker.features.declarations import (
    AgeFeature,
    CalendarFeature,
    CategoryFeature,
    EventFeature,
    Feature,
)
from worker.scoring import Scorer

Floats = NDArray[np.float64]

#: Genuine transactions that stand for all of an evaluation; each fraud is kept.
GENUINE_ROWS = 10_000

#: How often each feature is shuffled.
REPEATS = 3

#: The window at the end of a feature's name.
_WINDOW = re.compile(r"_\d+[smhdw]$")


@dataclass(frozen=True, slots=True)
class Group:
    """Features that say much the same, so that only all of them can be missed."""

    name: str
    columns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Refit:
    """What became of the average precision without a group of features."""

    group: Group
    average_precision: float


def permutation_drops(data: Prepared, done: Evaluation, *, seed: int) -> Floats:
    """Return (n_features) how much average precision shuffling each feature costs.

    Measured on the evaluation, which the model has not seen; the mean of several
    shuffles. Genuine transactions are sampled, and weighted so that precision keeps
    its meaning.

    Source: Breiman, "Random Forests", Machine Learning 45 (2001), section 10.
    """
    random = np.random.default_rng(seed)
    rows = split(data.history, done.windows).test
    fraud = data.history.fraud[rows]
    genuine = rows[~fraud]
    chosen = random.permutation(len(genuine))[:GENUINE_ROWS]
    rows = np.concatenate([rows[fraud], genuine[np.sort(chosen)]])
    X, labels = data.as_learnt_in(done.windows).X[rows], data.history.fraud[rows]
    weights = np.where(labels, 1.0, len(genuine) / len(chosen))
    scorer = Scorer(done.model, feature_count=X.shape[1])

    def measure(values: Floats) -> float:
        scores = scorer.score(values)
        return float(average_precision_score(labels, scores, sample_weight=weights))

    best = measure(X)
    drops = np.zeros(X.shape[1])
    for column in range(X.shape[1]):
        shuffled = X.copy()
        for _ in range(REPEATS):
            shuffled[:, column] = random.permutation(X[:, column])
            drops[column] += (best - measure(shuffled)) / REPEATS
    return drops


def feature_groups(spec: Spec) -> list[Group]:
    """Return the groups of a spec's outputs, in declared order.

    One for each field of the transaction, one for the calendar, and one for each
    other feature together with the same one over other windows.
    """
    members: dict[str, list[int]] = {}
    outputs = [feature for feature in spec.features if feature.output]
    for column, feature in enumerate(outputs):
        members.setdefault(_group_of(feature), []).append(column)
    return [Group(name, tuple(columns)) for name, columns in members.items()]


def refits_without(
    data: Prepared,
    done: Evaluation,
    plan: FitPlan,
    groups: list[Group],
    *,
    progress: ProgressCallback = quiet,
) -> Iterator[Refit]:
    """Yield what the same fit reaches without each group; not for the only one."""
    if len(groups) < 2:
        return
    data = data.as_learnt_in(done.windows)
    for number, group in enumerate(groups, start=1):
        X = np.delete(data.X, group.columns, axis=1)
        without = fit(replace(data, X=X), done.windows, plan)
        yield Refit(group, without.ranking.average_precision)
        progress(number, len(groups))


def _group_of(feature: Feature) -> str:
    if isinstance(feature, CalendarFeature):
        return "calendar"
    if isinstance(feature, EventFeature | CategoryFeature | AgeFeature):
        return feature.field
    return _WINDOW.sub("", feature.name)
