"""Compiled trees give scikit-learn's own scores, or are not used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import threadpoolctl  # type: ignore[import-untyped]
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from worker.scoring import Scorer
from worker.scoring.compiled import NotCompiled, compiled

Floats = NDArray[np.float64]

FEATURE_COUNT = 6


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Many threads that wait for each other take minutes on a busy machine."""
    with threadpoolctl.threadpool_limits(1):
        yield


def rows(count: int, *, seed: int = 0) -> Floats:
    """Rows with missing values, repeated values, infinities and both zeros."""
    random = np.random.default_rng(seed)
    X = random.standard_normal((count, FEATURE_COUNT)) * 100
    X[:, 1] = np.round(X[:, 1], 1)
    X[:, 2] = random.integers(0, 24, count)
    X[random.random(X.shape) < 0.1] = np.nan
    special = random.random(X.shape) < 0.01
    X[special] = random.choice([np.inf, -np.inf, 0.0, -0.0], int(special.sum()))
    return X


def fitted(leaves: int, *, trees: int = 40) -> Any:
    X = rows(20_000, seed=1)
    known = np.where(np.isfinite(X), X, 0.0)
    X = np.where(np.isinf(X), 0.0, X)
    return HistGradientBoostingClassifier(
        max_iter=trees, max_leaf_nodes=leaves, early_stopping=False, random_state=0
    ).fit(X, known[:, 0] + 5 * known[:, 2] > 60)


@pytest.mark.parametrize("leaves", [2, 15, 16, 17, 33, 64])
def test_scores_are_those_of_scikit_learn_to_the_last_bit(leaves: int) -> None:
    model, X = fitted(leaves), rows(20_000)

    np.testing.assert_array_equal(compiled(model)(X), model.predict_proba(X)[:, 1])


def test_a_million_rows_have_the_scores_of_scikit_learn() -> None:
    model, X = fitted(31), rows(1_000_000)

    scores = Scorer(model, feature_count=FEATURE_COUNT).score(X)

    np.testing.assert_array_equal(scores, model.predict_proba(X)[:, 1])


def test_rows_need_not_lie_together_in_memory() -> None:
    model, X = fitted(15), rows(1000)
    probability = compiled(model)

    np.testing.assert_array_equal(probability(X[::-2]), probability(X)[::-2])
    np.testing.assert_array_equal(probability(np.asfortranarray(X)), probability(X))


def deep() -> Any:
    return fitted(65, trees=3)


def with_categories() -> Any:
    X = rows(5000)[:, [2]]
    X = np.where(np.isfinite(X), np.abs(X), 0.0)
    X, y = np.tile(X, FEATURE_COUNT), X[:, 0] % 2 == 0
    return HistGradientBoostingClassifier(max_iter=2, categorical_features=[0]).fit(
        X, y
    )


def stump() -> Any:
    X = np.zeros((100, FEATURE_COUNT))
    return HistGradientBoostingClassifier(max_iter=2).fit(X, np.arange(100) % 2)


def forest() -> Any:
    X = rows(500)
    X = np.where(np.isinf(X), 0.0, X)
    return RandomForestClassifier(3).fit(X, X[:, 2] > 5)


def tempered() -> Any:
    """Does something to the sums of its trees that nobody else knows of."""
    model = fitted(15)
    predict = model.predict_proba
    model.predict_proba = lambda X: predict(X) / 2 + 0.25
    return model


@pytest.mark.parametrize(
    "make", [deep, with_categories, stump, forest, tempered], ids=lambda m: m.__name__
)
def test_what_cannot_be_compiled_is_scored_by_scikit_learn_and_told(
    make: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    model, X = make(), np.nan_to_num(np.abs(rows(200)), posinf=1.0)

    with pytest.raises(NotCompiled):
        compiled(model)
    with caplog.at_level(logging.INFO):
        scorer = Scorer(model, feature_count=FEATURE_COUNT)

    assert not scorer.is_compiled
    assert [record.message for record in caplog.records] == ["not_compiled"]
    np.testing.assert_array_equal(scorer.score(X), model.predict_proba(X)[:, 1])
