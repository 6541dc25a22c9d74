"""What each feature added to a score: exact, for the kinds of model that are known.

Owns which model is explained how. Base and contributions add up to the raw score.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from worker.errors import BundleRejected
from worker.scoring.shapley import TreeContributions
from worker.scoring.tree_sums import boosted_trees, forest

Floats = NDArray[np.float64]

#: What a raw score counts in. Log odds of x are a probability of 1 / (1 + exp(-x)).
Unit: TypeAlias = Literal["log odds", "probability"]

#: How far base and contributions may be from the raw score: rounding errors of sums.
TOLERANCE = 1e-9


class Contributions(Protocol):
    """Takes raw scores apart."""

    @property
    def base(self) -> float:
        """What is left where no feature contributes."""
        ...

    def of(self, X: Floats) -> Floats:
        """Return (n, n_features) what each feature added to each raw score."""
        ...


class LinearContributions:
    """Terms of a linear model, each as far as it lies from that of a usual row.

    A usual row is the mean where the pipeline scales to it, else the row of values
    that the imputer would fill in, else zeros. For independent features these terms
    are the Shapley values.

    Parameters
    ----------
    steps
        What the pipeline does to X before the linear model: imputers and scalers.
    """

    def __init__(self, steps: list[Any], linear: Any):
        self._steps = steps
        self._weights = np.ravel(linear.coef_).astype(np.float64)
        self._sources = np.arange(len(self._weights))
        usual = np.zeros((1, len(self._weights)))
        for step in steps:
            if type(step).__name__ == "StandardScaler":
                usual = np.zeros((1, len(self._weights)))
            else:
                self._sources = _sources(step)
                usual = step.transform(step.statistics_.reshape(1, -1))
        self._usual = usual
        self.base = float(linear.intercept_[0] + usual[0] @ self._weights)

    def of(self, X: Floats) -> Floats:
        """Return (n, n_features) what each feature added to each raw score."""
        rows = X
        for step in self._steps:
            rows = step.transform(rows)
        terms = (rows - self._usual) * self._weights
        found = np.zeros(X.shape)
        # A column that tells whether a value is missing belongs to that value.
        for column, source in enumerate(self._sources.tolist()):
            found[:, source] += terms[:, column]
        return found


def explain(model: Any) -> tuple[Contributions, Unit] | None:
    """Return what explains a model, None for a kind that is not known here."""
    *steps, last = [step for _, step in getattr(model, "steps", [("", model)])]
    kind = type(last).__name__
    if kind == "LogisticRegression" and _is_linear(steps):
        return LinearContributions(steps, last), "log odds"
    if steps or type(last).__module__.partition(".")[0] != "sklearn":
        return None
    if kind == "HistGradientBoostingClassifier":
        trees = boosted_trees(last)
        return None if trees is None else (TreeContributions(trees), "log odds")
    if kind == "RandomForestClassifier":
        return TreeContributions(forest(last)), "probability"
    return None


def check_sums(
    contributions: Contributions, unit: Unit, X: Floats, scores: Floats
) -> None:
    """Compare base and contributions of some rows with the scores of the model.

    Parameters
    ----------
    scores
        (n,) float64 probabilities, not rounded.

    Raises
    ------
    BundleRejected
        They do not add up: this version of scikit-learn keeps its models otherwise.
    """
    raw = contributions.base + contributions.of(X).sum(axis=1)
    found = 1.0 / (1.0 + np.exp(-raw)) if unit == "log odds" else raw
    worst = float(np.abs(found - scores).max(initial=0.0))
    # Written so that a NaN is a difference.
    if not worst <= TOLERANCE:
        raise BundleRejected(
            f"reasons do not add up to the score: the difference is {worst:.3g}. "
            "Install the libraries of the manifest, or train and publish again here."
        )


def _is_linear(steps: list[Any]) -> bool:
    """Say whether columns stay what they are: an imputer first, scalers after it."""
    kinds = [type(step).__name__ for step in steps]
    if kinds[:1] == ["SimpleImputer"]:
        kinds = kinds[1:]
    return all(kind == "StandardScaler" for kind in kinds)


def _sources(imputer: Any) -> NDArray[np.intp]:
    """Return the column of X that each column after an imputer comes from."""
    count = imputer.n_features_in_
    kept = np.arange(count)
    if not imputer.keep_empty_features:
        kept = kept[~np.isnan(imputer.statistics_)]
    if imputer.indicator_ is None:
        return kept
    return np.concatenate([kept, imputer.indicator_.features_])
