"""Models are fitted on what was known, and scored as the worker scores."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow.parquet
import pytest

from tests.training_builders import (
    payments,
    small_history,
    small_simulation,
    small_spec,
    write_records,
)
from training.compare import compare
from training.dataset import read_dataset
from training.evaluate import evaluate, week_windows
from training.featurize import ROWS_AT_ONCE, feature_matrix, write_features
from training.fit import Evaluation, FitPlan, Prepared, fit, prepare
from training.models import (
    MODEL_KINDS,
    ModelKind,
    feature_notices,
    fit_model,
    make_model,
)
from training.progress import shown
from training.split import SplitPlan, Windows, latest_until_ms
from worker.codec import published_scores
from worker.errors import InvalidConfig
from worker.features import FeatureTransform, Spec
from worker.records import EventBatch
from worker.scoring import LoadedModel, Scorer

PLAN = FitPlan(alerts_per_day=10)


@pytest.fixture(scope="module")
def windows(data: Prepared) -> Windows:
    return Windows.ending(latest_until_ms(data.history, PLAN.lengths), PLAN.lengths)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """All of the small simulation, with features."""
    spec = small_spec()
    events, history = small_history(tmp_path_factory.mktemp("data"), spec)
    return Prepared(spec, spec, events, history, feature_matrix(spec, events))


@pytest.fixture(scope="module")
def done(data: Prepared, windows: Windows) -> Evaluation:
    return fit(data, windows, PLAN)


# Features


def test_features_are_those_of_the_workers_transform(data: Prepared) -> None:
    expected = FeatureTransform(small_spec()).transform(data.events).X

    assert data.X.tobytes() == expected.tobytes()


def test_history_beyond_the_specs_memory_changes_nothing(
    data: Prepared, windows: Windows
) -> None:
    """The 7-day mean and the hour of lateness reach back 7 days and an hour."""
    part = prepare(small_spec(), data.events, data.history, [windows])

    assert len(part.events) < len(data.events)
    needed = part.events.event_time_ms >= windows.first_ms
    first = len(data.events) - int(needed.sum())
    assert part.X[needed].tobytes() == data.X[first:].tobytes()
    assert fit(part, windows, PLAN).figures() == fit(data, windows, PLAN).figures()


def test_features_are_written_with_their_ids_and_missing_values_as_null(
    tmp_path: Path,
) -> None:
    spec = small_spec()
    events = read_dataset(
        write_records(tmp_path / "data.parquet", payments()), spec
    ).events
    steps: list[tuple[int, int]] = []

    write_features(
        tmp_path / "deep" / "X.parquet",
        spec,
        events,
        progress=lambda done, total: steps.append((done, total)),
    )

    table = pyarrow.parquet.read_table(tmp_path / "deep" / "X.parquet")
    assert table.column_names == ["transaction_id", *spec.feature_names]
    assert table["transaction_id"].to_pylist() == ["100", "101", "102", "103"]
    assert table["customer_amount_mean_7d"].to_pylist() == [None, None, 10.25, 11.25]
    assert table["customer_transaction_count_1d"].to_pylist() == [1, 1, 2, 2]
    assert steps == [(4, 4)]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["X.parquet"]


def test_features_come_in_parts_that_remember_each_other(
    data: Prepared, tmp_path: Path
) -> None:
    """More rows than are computed at once: counts go on across the seam."""
    repeats = ROWS_AT_ONCE // len(data.events) + 1
    span_ms = int(np.ptp(data.events.event_time_ms)) + 1
    long = _repeated(data.events, repeats, span_ms)
    spec = small_spec()

    write_features(tmp_path / "X.parquet", spec, long)

    table = pyarrow.parquet.read_table(tmp_path / "X.parquet")
    expected = FeatureTransform(spec).transform(long).X
    assert len(table) == len(long) > ROWS_AT_ONCE
    for index, name in enumerate(spec.feature_names):
        found = table[name].to_numpy()
        assert found.tobytes() == np.ascontiguousarray(expected[:, index]).tobytes()


def _repeated(events: EventBatch, times: int, span_ms: int) -> EventBatch:
    rows = np.tile(np.arange(len(events)), times)
    batch = events.take(rows)
    turn = np.repeat(np.arange(times), len(events))
    batch.event_time_ms = batch.event_time_ms + turn * span_ms
    batch.transaction_ids = [str(i) for i in range(len(batch))]
    return batch


def test_an_interrupted_write_leaves_no_file(data: Prepared, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_features(
            tmp_path / "X.parquet", small_spec(), data.events, progress=interrupt
        )

    assert list(tmp_path.iterdir()) == []


# Fitting


def test_what_is_learnt_from_is_what_the_windows_say(
    data: Prepared, windows: Windows, done: Evaluation
) -> None:
    time_ms = data.events.event_time_ms
    train = (time_ms >= windows.first_ms) & (time_ms < windows.until_ms)
    test = (time_ms >= windows.test_first_ms) & (time_ms < windows.test_until_ms)

    assert done.train_rows == train.sum()
    assert done.train_frauds == data.history.fraud[train].sum()
    assert 0 < done.test_rows < test.sum(), "known victims are left out"
    assert done.train == slice(
        int(np.flatnonzero(train)[0]), int(np.flatnonzero(train)[-1]) + 1
    )


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_the_same_seed_gives_the_same_scores(
    data: Prepared, windows: Windows, kind: ModelKind
) -> None:
    plan = replace(PLAN, kind=kind)

    one, two = (fit(data, windows, plan) for _ in range(2))

    count = data.X.shape[1]
    scores = [
        Scorer(each.model, feature_count=count).score(data.X) for each in (one, two)
    ]
    assert scores[0].tobytes() == scores[1].tobytes()
    assert one.figures() == two.figures()


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_every_kind_finds_more_frauds_than_chance(
    data: Prepared, windows: Windows, kind: ModelKind
) -> None:
    found = fit(data, windows, replace(PLAN, kind=kind))

    base_rate = found.test_frauds / found.test_rows
    assert found.ranking.average_precision > 3 * base_rate
    assert found.ranking.roc_auc > 0.6
    assert found.ranking.card_precision <= found.ranking.best_card_precision


def test_labels_that_come_after_the_training_are_not_learnt(
    data: Prepared, windows: Windows, done: Evaluation
) -> None:
    """Frauds of the training that are confirmed later change nothing but labels."""
    known_ms = data.history.known_ms.copy()
    last_day = data.history.event_time_ms >= windows.until_ms - 86_400_000
    known_ms[last_day] += 1
    later = replace(data, history=replace(data.history, known_ms=known_ms))
    known_ms[last_day] += windows.test_until_ms

    found = fit(later, windows, PLAN)

    assert found.train_rows == done.train_rows
    assert found.train_frauds < done.train_frauds


def test_the_future_does_not_change_a_model(
    data: Prepared, windows: Windows, done: Evaluation
) -> None:
    """Labels of the gap and of the evaluation are turned round; the model stays."""
    fraud = data.history.fraud.copy()
    after = data.history.event_time_ms >= windows.until_ms
    fraud[after] = ~fraud[after]
    turned = replace(data, history=replace(data.history, fraud=fraud))

    found = fit(turned, windows, PLAN)

    expected = done.model.predict_proba(data.X)
    assert found.model.predict_proba(data.X).tobytes() == expected.tobytes()


def test_the_threshold_keeps_the_budget_on_all_transactions_of_the_week(
    data: Prepared, windows: Windows, done: Evaluation
) -> None:
    time_ms = data.events.event_time_ms
    week = (time_ms >= windows.test_first_ms) & (time_ms < windows.test_until_ms)
    scorer = Scorer(done.model, feature_count=data.X.shape[1])
    scores = published_scores(scorer.score(data.X[week]))

    flagged = scores >= done.alerts.threshold

    assert 0 < flagged.sum() <= PLAN.alerts_per_day * 7
    assert done.alerts.per_day == flagged.sum() / 7
    hits = flagged & data.history.fraud[week]
    assert done.alerts.precision == hits.sum() / flagged.sum()


def test_windows_without_data_are_told_before_the_work(data: Prepared) -> None:
    plan = PLAN.lengths
    early, late = (Windows.ending(until, plan) for until in (0, 10**13))

    with pytest.raises(InvalidConfig) as raised:
        prepare(small_spec(), data.events, data.history, [early, late])

    assert len(raised.value.problems) == 4
    assert "the data go from 2018-04-01" in raised.value.problems[0]


def test_figures_that_do_not_exist_are_left_out(done: Evaluation) -> None:
    silent = replace(done, alerts=replace(done.alerts, precision=float("nan")))

    assert "alert_precision" not in silent.figures()
    assert "average_precision" in silent.figures()


def test_a_wrong_plan_lists_every_problem() -> None:
    with pytest.raises(InvalidConfig) as raised:
        FitPlan(alerts_per_day=0, lengths=SplitPlan(train_days=0, label_delay_ms=-1))

    assert len(raised.value.problems) == 3


# Models


def test_boosting_avoids_what_costs_frauds() -> None:
    """Early stopping holds out a tenth of them, class weights bring nothing."""
    parameters = make_model("hgb").get_params()

    assert parameters["early_stopping"] is False
    assert parameters["class_weight"] is None
    assert parameters["max_iter"] == 200


def test_kinds_are_those_of_the_type() -> None:
    assert get_args(ModelKind) == MODEL_KINDS


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_missing_values_are_no_obstacle(kind: ModelKind) -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=(300, 3))
    fraud = X[:, 0] > 0.5
    X[random.random(X.shape) < 0.3] = np.nan
    X[:, 2] = np.nan

    model = fit_model(kind, X, fraud, seed=0)

    scores = Scorer(model, feature_count=3).score(X)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[fraud].mean() > scores[~fraud].mean()


def test_a_tail_that_falls_into_one_bin_is_told(data: Prepared) -> None:
    with_copy = small_spec()
    without = Spec.from_toml(
        with_copy.text.replace("clip = [150, 1000]\nround_to = 5\n", "log = true\n")
    )

    assert list(feature_notices("hgb", with_copy, data.X)) == []
    X = feature_matrix(without, data.events)
    notices = list(feature_notices("hgb", without, X))
    assert len(notices) == 1
    assert notices[0].startswith("amount: this model sees no difference between")
    assert list(feature_notices("logistic", without, X)) == []


def test_a_feature_without_any_value_is_told(data: Prepared) -> None:
    X = data.X.copy()
    X[:, 3] = np.nan

    notices = list(feature_notices("logistic", small_spec(), X))

    assert len(notices) == 1
    assert notices[0].startswith("customer_amount_mean_7d has no value")


# Weeks


def test_weeks_are_fits_of_their_own(data: Prepared) -> None:
    weeks = week_windows(data.history, PLAN, weeks=2)
    steps: list[tuple[int, int]] = []

    found = list(
        evaluate(
            data, weeks, PLAN, progress=lambda done, total: steps.append((done, total))
        )
    )

    assert [each.windows for each in found] == weeks
    assert found[1].figures() == fit(data, weeks[1], PLAN).figures()
    assert steps == [(1, 2), (2, 2)]


# Comparisons


def loaded(
    done: Evaluation, spec: Spec, *, threshold: float | None = None
) -> LoadedModel:
    """A model as if from a bundle; comparing looks at nothing else."""
    manifest: Any = None
    return LoadedModel(
        version="v",
        spec=spec,
        stages=(FeatureTransform(spec),),
        scorer=Scorer(done.model, feature_count=len(spec.feature_names)),
        reasons=None,
        threshold=done.alerts.threshold if threshold is None else threshold,
        manifest=manifest,
    )


def test_a_model_is_equivalent_to_itself(data: Prepared, done: Evaluation) -> None:
    model = loaded(done, small_spec())

    found = compare(model, model, data.events)

    assert found.is_equivalent(0.0)
    assert found.flagged_first == found.flagged_second > 0


def test_another_threshold_decides_differently(
    data: Prepared, done: Evaluation
) -> None:
    spec = small_spec()

    found = compare(loaded(done, spec), loaded(done, spec, threshold=0.0), data.events)

    assert found.largest_difference == 0.0
    assert found.different_decisions == len(data.events) - found.flagged_first
    assert not found.is_equivalent(1.0)


def test_another_window_is_a_different_feature(
    data: Prepared, done: Evaluation
) -> None:
    """The same name over another span: counts of two days are no counts of one."""
    spec = small_spec()
    other = Spec.from_toml(spec.text.replace('window = "1d"', 'window = "2d"'))
    renamed = Spec.from_toml(other.text.replace("amount_tail", "tail"))

    found = compare(loaded(done, spec), loaded(done, renamed), data.events)

    assert set(found.different_features) == {"customer_transaction_count_1d"}
    one, two = (feature_matrix(each, data.events) for each in (spec, other))
    differing = int((one[:, 2] != two[:, 2]).sum())
    assert found.different_features["customer_transaction_count_1d"] == differing > 0
    assert found.only_first == ("amount_tail",)
    assert found.only_second == ("tail",)
    assert not found.is_equivalent(1.0)


def test_scores_may_differ_by_the_tolerance(
    data: Prepared, windows: Windows, done: Evaluation
) -> None:
    other = fit(data, windows, replace(PLAN, seed=1))
    spec = small_spec()

    found = compare(
        loaded(done, spec, threshold=1.0),
        loaded(other, spec, threshold=1.0),
        data.events,
    )

    assert 0 < found.mean_difference < found.largest_difference
    assert found.is_equivalent(found.largest_difference)
    assert not found.is_equivalent(found.largest_difference / 2)


# Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_in_a_log_is_a_line_now_and_then() -> None:
    stream, now = io.StringIO(), iter([0.0, 1.0, 6.0, 7.0, 9.0])

    with shown("reading", stream=stream, clock=lambda: next(now)) as progress:
        for done in (10, 60, 70):
            progress(done, 100)

    assert stream.getvalue() == "reading: 60% of 100 rows\nreading: 70 rows in 9.0 s\n"


def test_progress_on_a_terminal_rewrites_its_line() -> None:
    stream, now = Terminal(), iter([0.0, 1.0, 2.0])

    with shown("fitting", unit="weeks", stream=stream, clock=lambda: next(now)) as step:
        step(1, 2)

    assert stream.getvalue().split("\r\x1b[2K") == [
        "",
        "fitting",
        "fitting: 50% of 2 weeks",
        "fitting: 1 weeks in 2.0 s\n",
    ]


def test_a_step_that_counts_nothing_says_how_long_it_took() -> None:
    stream, now = io.StringIO(), iter([0.0, 0.25])

    with shown("writing", stream=stream, clock=lambda: next(now)):
        pass

    assert stream.getvalue() == "writing: 0.2 s\n"


def test_the_small_simulation_has_frauds_of_every_kind() -> None:
    """Otherwise the tests above would claim little."""
    kinds = np.bincount(small_simulation().scenario, minlength=4)

    assert (kinds > 10).all()
