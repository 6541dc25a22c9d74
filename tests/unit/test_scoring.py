"""A model scores only where it gives what it gave when it was published."""

from __future__ import annotations

import io
import json
import math
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import threadpoolctl  # type: ignore[import-untyped]
from numpy.typing import NDArray
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.bundle_builders import (
    VERSION,
    boosted_trees,
    publish_bundle,
    republished,
    training_data,
)
from tests.transform_builders import everything
from worker.bundle import VerifiedBundle, read_bundle
from worker.errors import BundleRejected, Fatal
from worker.scoring import Scorer, load_model

FEATURE_COUNT = len(everything().feature_names)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one bundle; tests leave it as it is."""
    models = tmp_path_factory.mktemp("models")
    publish_bundle(models)
    return models


@pytest.fixture
def alter(published: Path, tmp_path: Path) -> Callable[..., VerifiedBundle]:
    """Makes the bundle anew with other content, as only its publisher could."""
    return lambda *args, **kwargs: republished(published, tmp_path, *args, **kwargs)


@pytest.fixture
def golden(published: Path) -> dict[str, Any]:
    """The published golden events, to be altered."""
    raw: dict[str, Any] = json.loads((published / VERSION / "golden.json").read_bytes())
    return raw


def with_golden(golden: dict[str, Any]) -> dict[str, bytes]:
    return {"golden.json": json.dumps(golden).encode()}


def serialised(model: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return buffer.getvalue()


def rejection(bundle: VerifiedBundle) -> str:
    with pytest.raises(BundleRejected) as caught:
        load_model(bundle)
    return str(caught.value)


def next_float(text: str) -> str:
    return math.nextafter(float.fromhex(text), math.inf).hex()


class Evil:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.trace),))


# Loading


def test_a_published_model_loads_and_scores_as_scikit_learn_does(
    published: Path,
) -> None:
    X, _ = training_data()

    loaded = load_model(read_bundle(published, VERSION))

    expected = boosted_trees().predict_proba(X)[:, 1]
    np.testing.assert_array_equal(expected, loaded.scorer.score(X))
    assert loaded.version == VERSION
    assert loaded.threshold == 0.5
    assert loaded.spec.feature_names == everything().feature_names
    assert loaded.scorer.engine == "scikit-learn HistGradientBoostingClassifier"


def test_a_patch_release_of_scikit_learn_warns_nobody(
    alter: Callable[..., VerifiedBundle],
) -> None:
    ours = sklearn.__version__.encode()
    other = ours[:-1] + (b"8" if ours[-1:] != b"8" else b"7")
    raw = pickle.dumps(boosted_trees())
    assert ours in raw

    loaded = load_model(alter({"model.joblib": raw.replace(ours, other)}))

    assert loaded.version == VERSION


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no pickle",
        serialised(LogisticRegression())[:-100],
        b"cno_such_package\nNoSuchClass\n.",
        b"csklearn.ensemble\nNoSuchClass\n.",
    ],
    ids=["empty", "text", "cut", "unknown package", "unknown class"],
)
def test_what_cannot_be_deserialised_is_rejected(
    alter: Callable[..., VerifiedBundle], raw: bytes
) -> None:
    message = rejection(alter({"model.joblib": raw}))

    assert "model.joblib cannot be loaded" in message
    assert "publish it again" in message


# The features mean here what they meant to the publisher


@pytest.mark.parametrize("name", ["state_fingerprint", "feature_fingerprint"])
def test_another_fingerprint_is_rejected_before_the_model_is_touched(
    alter: Callable[..., VerifiedBundle], tmp_path: Path, name: str
) -> None:
    trace = tmp_path / "trace"
    evil = {"model.joblib": pickle.dumps(Evil(trace))}

    message = rejection(alter(evil, **{name: "0" * 64}))

    assert f"{name} is {getattr(everything(), name)}, the manifest says 000" in message
    assert "Train and publish again" in message
    assert not trace.exists()


def test_other_feature_names_are_rejected_before_the_model_is_touched(
    alter: Callable[..., VerifiedBundle], tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    swapped = everything().feature_names[::-1]
    evil = {"model.joblib": pickle.dumps(Evil(trace))}

    message = rejection(alter(evil, feature_names=swapped))

    assert "feature_names" in message
    assert not trace.exists()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("transform.toml", b"not = toml =", "transform.toml is not usable"),
        ("transform.toml", b"\xff", "transform.toml is not usable"),
        ("transform.toml", b"format = 1\n", "transform.toml is not usable"),
        ("golden.json", b"", "golden.json is not usable"),
        ("golden.json", b"\xff", "golden.json is not usable"),
        ("golden.json", b"[]", "golden.json is not usable"),
        ("golden.json", b"{}", "golden.json is not usable"),
        (
            "golden.json",
            b'{"records": [], "features": [], "scores": []}',
            "golden.json must hold records",
        ),
    ],
)
def test_an_unreadable_file_is_rejected_before_the_model_is_touched(
    alter: Callable[..., VerifiedBundle],
    tmp_path: Path,
    name: str,
    content: bytes,
    expected: str,
) -> None:
    trace = tmp_path / "trace"
    evil = pickle.dumps(Evil(trace))

    message = rejection(alter({name: content, "model.joblib": evil}))

    assert expected in message
    assert not trace.exists()


def test_a_spec_that_was_changed_is_rejected(
    alter: Callable[..., VerifiedBundle],
) -> None:
    other = everything().text.replace('window = "60s"', 'window = "59s"').encode()

    message = rejection(alter({"transform.toml": other}))

    assert "state_fingerprint is" in message
    assert "feature_fingerprint is" in message


# Golden events


def test_a_feature_that_differs_in_its_last_bit_is_rejected(
    alter: Callable[..., VerifiedBundle], golden: dict[str, Any]
) -> None:
    column = everything().feature_names.index("amount_mean_60s")
    published = golden["features"][150][column]
    golden["features"][150][column] = next_float(published)

    message = rejection(alter(with_golden(golden)))

    assert "feature amount_mean_60s of golden record 150 is" in message
    assert f"({published}), published was" in message
    assert f"({next_float(published)})" in message


@pytest.mark.parametrize(
    ("before", "after"), [("nan", "0x0.0p+0"), ("0x0.0p+0", "-0x0.0p+0")]
)
def test_missing_values_and_the_sign_of_zero_count_too(
    alter: Callable[..., VerifiedBundle],
    golden: dict[str, Any],
    before: str,
    after: str,
) -> None:
    row, column = next(
        (i, j)
        for i, row in enumerate(golden["features"])
        for j, text in enumerate(row)
        if text == before
    )
    golden["features"][row][column] = after

    message = rejection(alter(with_golden(golden)))

    name = everything().feature_names[column]
    assert f"feature {name} of golden record {row}" in message


def test_a_score_of_trees_that_differs_by_a_trifle_is_rejected(
    alter: Callable[..., VerifiedBundle], golden: dict[str, Any]
) -> None:
    found = float.fromhex(golden["scores"][7])
    golden["scores"][7] = (found * (1 + 1e-14)).hex()

    message = rejection(alter(with_golden(golden)))

    assert f"the score of golden record 7 is {found!r}" in message
    assert "publish again here" in message


def test_a_last_place_that_the_exponential_may_change_is_accepted(
    alter: Callable[..., VerifiedBundle], golden: dict[str, Any]
) -> None:
    before = max(map(float.fromhex, golden["scores"]))
    golden["scores"] = [next_float(score) for score in golden["scores"]]

    model = load_model(alter(with_golden(golden)))

    assert model.version == VERSION
    assert model.golden_error == float(np.spacing(before)) > 0


def test_a_model_that_reproduces_its_golden_events_says_so(
    alter: Callable[..., VerifiedBundle],
) -> None:
    assert load_model(alter({})).golden_error == 0


@pytest.mark.parametrize("score", ["nan", "inf", "0x1p+5000", "a number"])
def test_a_golden_score_that_is_no_score_is_rejected(
    alter: Callable[..., VerifiedBundle], golden: dict[str, Any], score: str
) -> None:
    golden["scores"][0] = score

    assert "golden" in rejection(alter(with_golden(golden)))


def test_a_golden_record_that_the_decoder_refuses_is_named(
    alter: Callable[..., VerifiedBundle], golden: dict[str, Any]
) -> None:
    golden["records"][3]["key"] = "somebody else"

    message = rejection(alter(with_golden(golden)))

    assert "golden record 3 is refused as key_mismatch (field customer)" in message


def test_golden_events_in_another_order_are_other_events(
    alter: Callable[..., VerifiedBundle], golden: dict[str, Any]
) -> None:
    golden["records"].reverse()

    assert "golden record" in rejection(alter(with_golden(golden)))


@pytest.mark.parametrize("part", ["records", "features", "scores"])
def test_golden_parts_of_different_lengths_are_rejected(
    alter: Callable[..., VerifiedBundle], golden: dict[str, Any], part: str
) -> None:
    del golden[part][-1]

    assert "golden.json must hold" in rejection(alter(with_golden(golden)))


def test_golden_rows_of_another_width_are_rejected(
    alter: Callable[..., VerifiedBundle], golden: dict[str, Any]
) -> None:
    del golden["features"][5][-1]

    assert "golden.json has rows of" in rejection(alter(with_golden(golden)))


def test_a_model_that_was_exchanged_is_rejected_by_its_scores(
    alter: Callable[..., VerifiedBundle],
) -> None:
    X, fraud = training_data()
    other = HistGradientBoostingClassifier(max_iter=9, early_stopping=False).fit(
        X, fraud
    )

    message = rejection(alter({"model.joblib": serialised(other)}))

    assert "the score of golden record 0" in message


# Models other than boosted trees


def linear_model() -> Any:
    return make_pipeline(
        SimpleImputer(keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(max_iter=2_000),
    ).fit(*training_data())


def test_a_pipeline_with_imputation_is_a_model_too(tmp_path: Path) -> None:
    X, _ = training_data()
    model = linear_model()
    publish_bundle(tmp_path, model)

    loaded = load_model(read_bundle(tmp_path, VERSION))

    assert np.isnan(X).any()
    np.testing.assert_allclose(
        model.predict_proba(X)[:, 1], loaded.scorer.score(X), rtol=0, atol=1e-12
    )
    assert loaded.scorer.engine == (
        "scikit-learn Pipeline (SimpleImputer, StandardScaler, LogisticRegression)"
    )


@pytest.mark.parametrize(("error", "is_accepted"), [(5e-10, True), (2e-9, False)])
def test_scores_of_a_linear_model_may_differ_by_a_billionth(
    tmp_path: Path, error: float, is_accepted: bool
) -> None:
    publish_bundle(tmp_path / "models", linear_model())
    path = tmp_path / "models" / VERSION / "golden.json"
    golden = json.loads(path.read_bytes())
    golden["scores"][9] = (float.fromhex(golden["scores"][9]) + error).hex()
    bundle = republished(tmp_path / "models", tmp_path / "other", with_golden(golden))

    if is_accepted:
        assert load_model(bundle).version == VERSION
    else:
        assert "the score of golden record 9" in rejection(bundle)


def test_a_forest_is_set_to_one_job_and_scores_exactly(tmp_path: Path) -> None:
    X, fraud = training_data()
    forest = RandomForestClassifier(20, max_depth=6, n_jobs=2, random_state=0)
    publish_bundle(tmp_path, forest.fit(X, fraud))

    loaded = load_model(read_bundle(tmp_path, VERSION))

    assert loaded.scorer.model.n_jobs == 1
    assert forest.n_jobs == 2
    forest.set_params(n_jobs=1)
    expected = forest.predict_proba(X)[:, 1]
    np.testing.assert_array_equal(expected, loaded.scorer.score(X))


def test_jobs_inside_of_a_pipeline_are_set_to_one() -> None:
    forest = RandomForestClassifier(5, max_depth=3, n_jobs=-1)
    model = make_pipeline(StandardScaler(), forest).fit(*training_data())

    scorer = Scorer(model, feature_count=FEATURE_COUNT)

    assert scorer.model[-1].n_jobs == 1
    assert not scorer.is_exact


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (
            lambda X, y: HistGradientBoostingRegressor(max_iter=2).fit(X, y),
            "classifier",
        ),
        (lambda X, y: small_trees().fit(X, y * 2), "labels 0 and 1"),
        (lambda X, y: small_trees().fit(X, np.arange(len(y)) % 3), "labels 0 and 1"),
        (lambda X, y: small_trees().fit(X[:, 1:], y), f"the spec has {FEATURE_COUNT}"),
        (lambda X, y: small_trees().fit(pd.DataFrame(X).add_prefix("f"), y), "plain"),
        (lambda X, y: LogisticRegression().fit(np.nan_to_num(X) / 1e4, y), "Imputer"),
        (lambda _X, _y: "a text", "classifier"),
    ],
    ids=["regressor", "labels", "classes", "width", "data frame", "missing", "text"],
)
def test_a_model_that_cannot_score_is_rejected_with_a_remedy(
    make: Callable[[NDArray[np.float64], NDArray[np.int64]], Any], problem: str
) -> None:
    X, fraud = training_data()

    with pytest.raises(BundleRejected, match=problem):
        Scorer(make(X, fraud.astype(np.int64)), feature_count=FEATURE_COUNT)


def small_trees() -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=2, early_stopping=False)


# The scorer


def test_scores_depend_on_nothing_but_their_row() -> None:
    X, _ = training_data()
    scorer = Scorer(boosted_trees(), feature_count=FEATURE_COUNT)

    whole = scorer.score(X)
    one_by_one = [scorer.score(X[i : i + 1])[0] for i in range(50)]

    assert scorer.is_exact
    np.testing.assert_array_equal(whole[:50], one_by_one)
    np.testing.assert_array_equal(whole, scorer.score(X[::-1])[::-1])


def test_no_rows_have_no_scores() -> None:
    scorer = Scorer(boosted_trees(), feature_count=FEATURE_COUNT)

    scores = scorer.score(np.empty((0, FEATURE_COUNT)))

    assert scores.shape == (0,)
    assert scores.dtype == np.float64


def test_a_score_that_is_not_finite_stops_everything() -> None:
    scorer = Scorer(BrokenModel(), feature_count=2)

    assert scorer.score(np.zeros((3, 2))).tolist() == [0.25, 0.25, 0.25]
    with pytest.raises(Fatal, match="no finite score for row 1 of a batch"):
        scorer.score(np.array([[0.0, 0.0], [-1.0, 0.0]]))


class BrokenModel:
    """Gives no number where the first feature is negative."""

    classes_ = np.array([0, 1])
    n_features_in_ = 2

    def predict_proba(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        frauds = np.where(X[:, 0] < 0, np.nan, 0.25)
        return np.column_stack([1 - frauds, frauds])


def test_a_model_that_gives_no_number_for_missing_values_is_rejected() -> None:
    class Broken(BrokenModel):
        def predict_proba(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
            return X

    with pytest.raises(
        BundleRejected, match="no finite score where values are missing"
    ):
        Scorer(Broken(), feature_count=2)


def test_the_column_of_the_class_one_is_found_wherever_it_stands() -> None:
    class Reversed(BrokenModel):
        classes_ = np.array([1, 0])

    scorer = Scorer(Reversed(), feature_count=2)

    assert scorer.score(np.zeros((1, 2))).tolist() == [0.75]


def test_every_pool_of_threads_is_limited_to_one() -> None:
    threadpoolctl.threadpool_limits(limits=2)

    Scorer(boosted_trees(), feature_count=FEATURE_COUNT)

    pools = threadpoolctl.threadpool_info()

    assert pools
    assert {pool["num_threads"] for pool in pools} == {1}
