"""Signs that a model was shown what it could not have known.

Owns the rules. An evaluation that is too good is the first sign of a leak, and often
the only one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from training.evaluate import mean_ranking
from training.fit import Evaluation, Prepared
from training.handbook import (
    MOST_AVERAGE_PRECISION,
    MOST_ROC_AUC,
    is_handbook,
)
from training.split import LabelledHistory, split

#: Above it, frauds and genuine transactions are told apart nearly without error, in
#: weeks that came after all that was learnt: frauds that are found do not stay so.
ALMOST_PERFECT = 0.98

#: A single feature that ranks so well is rather a consequence of the label.
TELLING_ALONE = 0.985


def leak_warnings(
    weeks: Sequence[Evaluation],
    data: Prepared,
    history: LabelledHistory,
    names: Sequence[str],
) -> Iterator[str]:
    """Yield a sentence for each rule that the evaluations break.

    1. On the Handbook's data: a mean above what a scorer reaches that knows all
       parameters of the generator; see `training.handbook`.
    2. On any data: a mean average precision of almost 1.
    3. On any data: one feature alone ranks the last evaluation almost perfectly,
       upwards or downwards, missing values first.

    References
    ----------
    Kaufman, Rosset, Perlich, Stitelman, "Leakage in data mining: formulation,
    detection, and avoidance", ACM Transactions on Knowledge Discovery from Data 6
    (2012): results too good to be true, and features too good to be legitimate.
    """
    mean, _ = mean_ranking([week.ranking for week in weeks])
    if is_handbook(history):
        yield from _beyond_handbook(mean.average_precision, mean.roc_auc)
    if mean.average_precision > ALMOST_PERFECT:
        yield (
            f"mean average precision {mean.average_precision:.3f} is above "
            f"{ALMOST_PERFECT:g}: is there a feature that is known only afterwards?"
        )
    for name, auc in _single_features(weeks[-1], data, names):
        if auc > TELLING_ALONE:
            yield (
                f"{name} alone ranks the last evaluation with an ROC AUC of {auc:.3f}: "
                "is it known when a transaction is scored, or only afterwards?"
            )


def _beyond_handbook(average_precision: float, roc_auc: float) -> Iterator[str]:
    for what, reached, most in (
        ("average precision", average_precision, MOST_AVERAGE_PRECISION),
        ("ROC AUC", roc_auc, MOST_ROC_AUC),
    ):
        if reached > most:
            yield (
                f"mean {what} {reached:.3f} is above {most:g}, more than the "
                "generator of these data allows with labels of a week before: does a "
                "feature use labels that were not known yet?"
            )


def _single_features(
    week: Evaluation, data: Prepared, names: Sequence[str]
) -> Iterator[tuple[str, float]]:
    """Yield how well each feature ranks by itself, in the better direction."""
    rows = split(data.history, week.windows).test
    X = data.as_learnt_in(week.windows).X[rows]
    fraud = data.history.fraud[rows]
    for name, column in zip(names, X.T, strict=True):
        auc = _roc_auc(fraud, np.nan_to_num(column, nan=-np.inf))
        yield name, max(auc, 1 - auc)


def _roc_auc(fraud: NDArray[np.bool_], values: NDArray[np.float64]) -> float:
    frauds, genuine = int(fraud.sum()), int((~fraud).sum())
    ranks = float(rankdata(values)[fraud].sum())
    return (ranks - frauds * (frauds + 1) / 2) / (frauds * genuine)
