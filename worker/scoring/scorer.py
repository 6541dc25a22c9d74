"""Probabilities of fraud from a model, on one thread.

Owns what a model must be able to do to be used here. Knows no file and no feature.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import threadpoolctl  # type: ignore[import-untyped]
from numpy.typing import NDArray

from worker.errors import BundleRejected, Fatal
from worker.scoring.compiled import NotCompiled, compiled

_LOG = logging.getLogger(__name__)

Floats = NDArray[np.float64]

#: Models of scikit-learn that add up their trees in one order, whatever the batch.
_EXACT = ("HistGradientBoostingClassifier", "RandomForestClassifier")


class Scorer:
    """Scores feature rows with one model.

    A call of `threadpoolctl` costs more than a batch, so the limit to one thread is
    set once, here. OpenMP keeps it for the thread that made the scorer: score there.

    Parameters
    ----------
    model
        Fitted; it is the scorer's from now on, and set to use one job.
    feature_count
        How many columns the rows have.

    Attributes
    ----------
    engine
        What computes the scores, for people.
    is_exact
        The score of a row depends on nothing but that row, to the last bit. Products
        of matrices do not promise that: there the size of the batch counts.
    is_compiled
        Whether trees are evaluated here, which takes a tenth of the time and gives
        scikit-learn's own scores; else scikit-learn is asked, and the log says why.

    Raises
    ------
    BundleRejected
        The model lacks something that scoring needs; every lack is named.
    """

    def __init__(self, model: Any, *, feature_count: int) -> None:
        _check_shape(model, feature_count)
        threadpoolctl.threadpool_limits(limits=1)
        _use_one_job(model)
        self.model = model
        self.engine = describe(model)
        self.is_exact = _is_of_scikit_learn(model) and type(model).__name__ in _EXACT
        self._probability = _class_one(model)
        self.is_compiled = _is_of_scikit_learn(model) and self._compile(model)
        _check_missing_values(self._probability, feature_count)

    def _compile(self, model: Any) -> bool:
        try:
            self._probability = compiled(model)
        except NotCompiled as reason:
            _LOG.info("not_compiled", extra={"reason": str(reason)})
            return False
        return True

    def score(self, X: Floats) -> Floats:
        """Return the probability of fraud of each row.

        Parameters
        ----------
        X
            (n, n_features) float64, NaN where a value is missing.

        Returns
        -------
        NDArray
            (n,) float64 between 0 and 1.

        Raises
        ------
        Fatal
            A score is not finite: the model is broken, and nothing may be published.
        """
        if len(X) == 0:
            return np.empty(0, np.float64)
        scores = self._probability(X)
        if np.count_nonzero(np.isfinite(scores)) < len(scores):
            row = int(np.flatnonzero(~np.isfinite(scores))[0])
            raise Fatal(f"{self.engine} gave no finite score for row {row} of a batch")
        return scores


def describe(model: Any) -> str:
    """Name a model by its package, its class, and the steps it consists of."""
    package = (
        type(model).__module__.partition(".")[0].replace("sklearn", "scikit-learn")
    )
    steps = ", ".join(type(step).__name__ for _, step in getattr(model, "steps", ()))
    return f"{package} {type(model).__name__}" + (f" ({steps})" if steps else "")


def _check_shape(model: Any, feature_count: int) -> None:
    problems = []
    if not callable(getattr(model, "predict_proba", None)):
        problems.append("it has no predict_proba: choose or wrap a classifier")
    classes = np.asarray(getattr(model, "classes_", ()))
    if classes.shape != (2,) or sorted(classes.tolist()) != [0, 1]:
        problems.append(f"its classes are {classes.tolist()}: fit it on labels 0 and 1")
    found = getattr(model, "n_features_in_", None)
    if found != feature_count:
        problems.append(f"it takes {found} features: the spec has {feature_count}")
    if hasattr(model, "feature_names_in_"):
        problems.append("it was fitted on a data frame: fit it on the plain array X")
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise BundleRejected(f"the model {describe(model)} cannot be used:\n{lines}")


def _check_missing_values(probability: Callable[[Floats], Floats], count: int) -> None:
    """Refuse a model that would stop the worker at the first missing value."""
    try:
        scores = probability(np.full((1, count), np.nan))
    except ValueError as error:
        raise BundleRejected(
            f"the model takes no missing values ({_first_line(error)}): "
            "put a SimpleImputer in front of it"
        ) from None
    if not np.isfinite(scores).all():
        raise BundleRejected("the model gives no finite score where values are missing")


def _class_one(model: Any) -> Callable[[Floats], Floats]:
    column = np.asarray(model.classes_).tolist().index(1)
    predict = model.predict_proba

    def probability(X: Floats) -> Floats:
        return np.ascontiguousarray(predict(X)[:, column], np.float64)

    return probability


def _use_one_job(model: Any) -> None:
    """A pool of threads costs more than it gives here, and sums in any order."""
    if hasattr(model, "get_params"):
        jobs = [
            name
            for name, value in model.get_params().items()
            if name.rpartition("__")[2] == "n_jobs" and value not in {None, 1}
        ]
        model.set_params(**dict.fromkeys(jobs, 1))


def _is_of_scikit_learn(model: Any) -> bool:
    return type(model).__module__.partition(".")[0] == "sklearn"


def _first_line(error: ValueError) -> str:
    return str(error).partition("\n")[0]
