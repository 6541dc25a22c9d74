"""The kinds of model that can be fitted, each with settings that suit rare frauds.

No class weights anywhere: they distort the probabilities, and bring nothing to average
precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from worker.features import Spec
from worker.features.declarations import EventFeature

Floats = NDArray[np.float64]
ModelKind = Literal["hgb", "logistic", "random-forest"]

#: Bins of the gradient booster; a feature with fewer values keeps each of them.
_BINS = 255

#: How far a bin's largest value may lie above its smallest one without a notice.
_LONG_TAIL = 2.0


def make_model(kind: ModelKind, *, seed: int = 0) -> Any:
    """Return an unfitted classifier with scikit-learn's interface."""
    return _MAKERS[kind](seed)


def _boosting(seed: int) -> Any:
    """Small trees on half of the features each, chosen on the Handbook's data.

    Early stopping would hold out a tenth of the few frauds.
    """
    return HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=200,
        max_leaf_nodes=8,
        min_samples_leaf=20,
        l2_regularization=5.0,
        max_features=0.5,
        early_stopping=False,
        random_state=seed,
    )


def _logistic(seed: int) -> Any:
    return make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(max_iter=1_000, random_state=seed),
    )


def _forest(seed: int) -> Any:
    return RandomForestClassifier(
        n_estimators=100, max_depth=20, random_state=seed, n_jobs=-1
    )


_MAKERS: Mapping[ModelKind, Callable[[int], Any]] = {
    "hgb": _boosting,
    "logistic": _logistic,
    "random-forest": _forest,
}
MODEL_KINDS: tuple[ModelKind, ...] = get_args(ModelKind)


def fit_model(
    kind: ModelKind, X: Floats, fraud: NDArray[np.bool_], *, seed: int
) -> Any:
    """Fit a model.

    OpenMP gets one thread: where other processes keep the cores busy, its threads wait
    for each other, and a fit of one second took three minutes.
    """
    # The booster's binner fails on a column without any value; with a constant instead
    # no tree looks at it, which is what a model makes of such a column anyway.
    empty = np.isnan(X).all(axis=0)
    usable = np.where(empty, 0.0, X) if empty.any() else X
    with threadpool_limits(limits=1):
        return make_model(kind, seed=seed).fit(usable, fraud)


def feature_notices(kind: ModelKind, spec: Spec, X: Floats) -> Iterator[str]:
    """Tell which features of the training rows a model cannot make use of."""
    for name, column in zip(spec.feature_names, X.T, strict=True):
        if np.isnan(column).all():
            yield f"{name} has no value in the training window: the model ignores it"
    if kind == "hgb":
        yield from _binning_notices(spec, X)


def _binning_notices(spec: Spec, X: Floats) -> Iterator[str]:
    """Tell which fields' tails vanish in the booster's last bin.

    The bins are quantiles of all rows, so the top 0.4 percent of an amount, where the
    frauds are, become one value, unless a coarse copy of the field is a feature too.
    """
    columns = [
        (feature, _present(X[:, spec.feature_names.index(feature.name)]))
        for feature in spec.features
        if isinstance(feature, EventFeature) and feature.output
    ]
    coarse = {
        feature.field for feature, values in columns if len(np.unique(values)) <= _BINS
    }
    for feature, values in columns:
        if feature.field in coarse:
            continue
        edge, largest = np.quantile(values, 1 - 1 / _BINS), values.max()
        if edge > 0 and largest > _LONG_TAIL * edge:
            yield (
                f"{feature.name}: this model sees no difference between values above "
                f"{edge:g} (the largest is {largest:g}); a second feature of that "
                f"field with `clip` and `round_to`, of at most {_BINS} values, would"
            )


def _present(values: Floats) -> Floats:
    return values[~np.isnan(values)]
