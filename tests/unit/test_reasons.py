"""Reasons are exact: they equal slow, obvious computations of their definitions."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from tests.transform_builders import everything
from training.models import MODEL_KINDS, ModelKind, fit_model
from worker.errors import BundleRejected
from worker.scoring import Reasons
from worker.scoring.explain import check_sums, explain
from worker.scoring.reasons import LIMIT

Floats = NDArray[np.float64]
Game = Callable[[Collection[int]], float]

COLUMNS = 5


@cache
def data() -> tuple[Floats, NDArray[np.bool_]]:
    """Rows with ties, missing values, and frauds that need several features."""
    random = np.random.default_rng(3)
    X = np.round(random.normal(0, 2, (800, COLUMNS)), 1)
    X[random.random(X.shape) < 0.1] = np.nan
    risk = np.nan_to_num(X[:, 0] * X[:, 1]) + np.nan_to_num(X[:, 2], nan=3.0)
    return X, risk + random.normal(0, 1, len(X)) > 3


@cache
def boosted() -> Any:
    return HistGradientBoostingClassifier(
        max_iter=6, max_leaf_nodes=12, min_samples_leaf=5, early_stopping=False
    ).fit(*data())


@cache
def forest() -> Any:
    return RandomForestClassifier(5, max_depth=6, random_state=0).fit(*data())


def shapley(game: Game, players: int) -> list[float]:
    """Each player's mean gain over all orders in which players may join."""
    values = []
    for player in range(players):
        others = [other for other in range(players) if other != player]
        total = 0.0
        for size in range(players):
            orders = math.factorial(size) * math.factorial(players - 1 - size)
            for coalition in combinations(others, size):
                gain = game([*coalition, player]) - game(coalition)
                total += gain * orders / math.factorial(players)
        values.append(total)
    return values


def boosted_game(model: Any, x: Sequence[float]) -> Game:
    """What scikit-learn's own nodes give to a coalition, by recursion."""

    def mean(nodes: Any, at: int, inside: Collection[int]) -> float:
        node = nodes[at]
        if node["is_leaf"]:
            return float(node["value"])
        left, right = int(node["left"]), int(node["right"])
        feature = int(node["feature_idx"])
        if feature in inside:
            value = x[feature]
            goes_left = (
                bool(node["missing_go_to_left"])
                if math.isnan(value)
                else value <= node["num_threshold"]
            )
            return mean(nodes, left if goes_left else right, inside)
        share = int(nodes[left]["count"]) / int(node["count"])
        return share * mean(nodes, left, inside) + (1 - share) * mean(
            nodes, right, inside
        )

    def game(inside: Collection[int]) -> float:
        trees = (predictor.nodes for (predictor,) in model._predictors)
        total = sum(mean(nodes, 0, inside) for nodes in trees)
        return total + float(np.ravel(model._baseline_prediction)[0])

    return game


def forest_game(model: Any, x: Sequence[float]) -> Game:
    def mean(tree: Any, at: int, inside: Collection[int]) -> float:
        left, right = int(tree.children_left[at]), int(tree.children_right[at])
        if left == -1:
            return float(tree.value[at, 0, 1] / tree.value[at, 0].sum())
        feature = int(tree.feature[at])
        if feature in inside:
            value = float(np.float32(x[feature]))
            goes_left = (
                bool(tree.missing_go_to_left[at])
                if math.isnan(value)
                else value <= tree.threshold[at]
            )
            return mean(tree, left if goes_left else right, inside)
        weight = tree.weighted_n_node_samples
        share = float(weight[left] / weight[at])
        return share * mean(tree, left, inside) + (1 - share) * mean(
            tree, right, inside
        )

    def game(inside: Collection[int]) -> float:
        trees = [one.tree_ for one in model.estimators_]
        return sum(mean(tree, 0, inside) for tree in trees) / len(trees)

    return game


ROWS = st.lists(
    st.one_of(st.just(math.nan), st.floats(-6, 6).map(lambda x: round(x, 1))),
    min_size=COLUMNS,
    max_size=COLUMNS,
)


@given(ROWS)
@settings(max_examples=25, deadline=None)
def test_contributions_of_boosted_trees_are_their_shapley_values(
    x: list[float],
) -> None:
    game = boosted_game(boosted(), x)
    found = explain(boosted())
    assert found is not None

    parts = found[0].of(np.array([x]))[0]

    assert parts.tolist() == pytest.approx(shapley(game, COLUMNS), abs=1e-12)
    assert found[0].base == pytest.approx(game([]), abs=1e-12)
    assert max(abs(parts)) > 0.01


@given(ROWS)
@settings(max_examples=15, deadline=None)
def test_contributions_of_a_forest_are_its_shapley_values(x: list[float]) -> None:
    game = forest_game(forest(), x)
    found = explain(forest())
    assert found is not None

    parts = found[0].of(np.array([x]))[0]

    assert parts.tolist() == pytest.approx(shapley(game, COLUMNS), abs=1e-12)
    assert found[0].base == pytest.approx(game([]), abs=1e-12)


def test_contributions_of_a_linear_model_are_its_terms() -> None:
    """Scaled by hand: the median where a value is missing, its term and the flag's."""
    X, fraud = data()
    model = fit_model("logistic", X, fraud, seed=0)
    imputer, scaler, linear = (step for _, step in model.steps)
    weights = linear.coef_[0] / scaler.scale_
    x = X[np.isnan(X).any(axis=1)][0]
    expected = []
    for column, value in enumerate(x.tolist()):
        filled = imputer.statistics_[column] if math.isnan(value) else value
        flag = list(imputer.indicator_.features_).index(column) + COLUMNS
        expected.append(
            weights[column] * (filled - scaler.mean_[column])
            + weights[flag] * (math.isnan(value) - scaler.mean_[flag])
        )
    found = explain(model)
    assert found is not None

    parts = found[0].of(x.reshape(1, -1))[0]

    assert parts.tolist() == pytest.approx(expected, abs=1e-12)
    assert found[0].base == pytest.approx(linear.intercept_[0], abs=1e-12)


def test_a_linear_model_without_scaling_is_compared_with_the_row_of_medians() -> None:
    X, fraud = data()
    model = make_pipeline(
        SimpleImputer(strategy="median"), LogisticRegression(max_iter=500)
    ).fit(X, fraud)
    medians = np.nanmedian(X, axis=0)
    found = explain(model)
    assert found is not None

    parts = found[0].of(medians.reshape(1, -1))

    assert parts.tolist() == [[0.0] * COLUMNS]
    assert found[0].base == pytest.approx(
        model.decision_function(medians.reshape(1, -1))[0]
    )


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_base_and_contributions_add_up_to_the_raw_score(kind: ModelKind) -> None:
    X, fraud = data()
    model = fit_model(kind, X, fraud, seed=0)
    found = explain(model)
    assert found is not None
    contributions, unit = found

    raw = contributions.base + contributions.of(X).sum(axis=1)

    expected = (
        model.predict_proba(X)[:, 1]
        if unit == "probability"
        else model.decision_function(X)
    )
    assert np.abs(raw - expected).max() <= 1e-9


@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")
def test_a_column_without_any_value_gets_no_contribution() -> None:
    X, fraud = data()
    X = X.copy()
    X[:, 3] = np.nan
    model = make_pipeline(
        SimpleImputer(add_indicator=True), StandardScaler(), LogisticRegression()
    ).fit(X, fraud)
    found = explain(model)
    assert found is not None

    parts = found[0].of(X)

    assert not parts[:, 3].any()
    raw = found[0].base + parts.sum(axis=1)
    assert np.abs(raw - model.decision_function(X)).max() <= 1e-9


def test_models_of_other_kinds_are_not_explained() -> None:
    X, fraud = data()
    filled = np.nan_to_num(X)
    extra = ExtraTreesClassifier(2, random_state=0).fit(filled, fraud)
    scaled = make_pipeline(MinMaxScaler(), LogisticRegression()).fit(filled, fraud)
    categories = HistGradientBoostingClassifier(
        max_iter=5, categorical_features=[0], min_samples_leaf=2
    ).fit(np.abs(np.round(filled)), filled[:, 0] % 2 < 1)

    assert [explain(model) for model in (extra, scaled, categories)] == [None] * 3


def test_contributions_that_do_not_add_up_are_not_published() -> None:
    X, _ = data()
    found = explain(boosted())
    assert found is not None
    scores = boosted().predict_proba(X)[:, 1]

    check_sums(*found, X, scores)
    with pytest.raises(BundleRejected, match="reasons do not add up"):
        check_sums(*found, X, scores + 1e-6)


# What is named


@cache
def reasons() -> tuple[Reasons, Floats]:
    spec = everything()
    random = np.random.default_rng(5)
    X = random.gamma(2.0, 3.0, (500, len(spec.feature_names)))
    fraud = X[:, 0] + X[:, 1] > 14
    found = Reasons.of_model(fit_model("hgb", X, fraud, seed=0), spec)
    assert found is not None
    return found, X


def test_only_flagged_scores_have_reasons() -> None:
    found, X = reasons()
    flagged = np.arange(len(X)) % 50 == 3

    given = found.of_scores(X, flagged)

    assert [each is not None for each in given] == flagged.tolist()


def test_reasons_are_what_raised_the_score_most_the_most_first() -> None:
    found, X = reasons()
    names = everything().feature_names
    parts = found.contributions.of(X)

    for row, each in enumerate(found.of_scores(X, np.ones(len(X), np.bool_))):
        assert each is not None
        raised = sorted((part for part in parts[row] if part >= 5e-7), reverse=True)
        shown = [reason.contribution for reason in each]
        assert shown == pytest.approx(raised[:LIMIT], abs=1e-6)
        for reason in each:
            assert reason.value == X[row, names.index(reason.feature)]


def test_reasons_in_full_add_up_for_every_score() -> None:
    found, X = reasons()
    sums = found.contributions.of(X).sum(axis=1)

    for row, each in enumerate(found.in_full().of_scores(X, np.zeros(500, np.bool_))):
        assert each is not None
        shown = [reason.contribution for reason in each]
        assert sum(shown) == pytest.approx(sums[row], abs=1e-4)
        assert shown == sorted(shown, key=abs, reverse=True)


def test_reasons_do_not_depend_on_the_batch() -> None:
    found, X = reasons()
    flagged = np.ones(len(X), np.bool_)

    whole = found.of_scores(X, flagged)
    alone = [found.of_scores(X[i : i + 1], flagged[:1])[0] for i in range(len(X))]

    assert whole == alone


def test_a_missing_value_is_null_and_none() -> None:
    found, X = reasons()
    row = np.full((1, X.shape[1]), np.nan)

    (each,) = found.in_full().of_scores(row, np.array([False]))

    assert each
    assert {reason.value for reason in each} == {None}
    assert all(reason.text.endswith(": none") for reason in each)
