"""The Handbook's data: features against pandas, the published protocol, a fit."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from training.cli import main
from training.commands.inputs import read_spec
from training.dataset import Dataset, read_dataset
from training.featurize import feature_matrix
from training.fit import FitPlan, Prepared, fit
from training.labels import label_history, read_labels
from training.metrics import card_precision
from training.split import (
    DAY_MS,
    LabelledHistory,
    SplitPlan,
    Windows,
    day_of_evaluation,
    parse_until_ms,
    period,
    split,
)
from worker.bundle import read_bundle
from worker.scoring import load_model

ROWS, FRAUDS = 1_754_155, 14_681

#: Published for the first test week: rows and frauds of both windows.
TRAIN, TEST = (67_240, 598), (58_264, 385)


@pytest.fixture(scope="module")
def payments(handbook: Path) -> pd.DataFrame:
    return pd.read_parquet(handbook)


class Featurized(NamedTuple):
    """What the command wrote, and how long it took."""

    rows: pd.DataFrame
    seconds: float


@pytest.fixture(scope="module")
def featurized(handbook: Path, tmp_path_factory: pytest.TempPathFactory) -> Featurized:
    target = tmp_path_factory.mktemp("features") / "X.parquet"
    files = [f"--{name}={handbook}" for name in ("transactions", "labels")]
    files.append(f"--out={target}")
    began = time.perf_counter()

    assert main(["featurize", "--spec=book", *files]) == 0

    return Featurized(pd.read_parquet(target), time.perf_counter() - began)


@pytest.fixture(scope="module")
def dataset(handbook: Path) -> Dataset:
    return read_dataset(handbook, read_spec("book"))


@pytest.fixture(scope="module")
def history(handbook: Path, dataset: Dataset) -> LabelledHistory:
    schema = read_spec("book").schema
    labels = read_labels(handbook, schema, names={})
    return label_history(dataset.events, labels, schema, label_delay_ms=7 * DAY_MS)[0]


@pytest.fixture(scope="module")
def windows() -> Windows:
    return Windows.ending(parse_until_ms("2018-07-31"), SplitPlan())


# Reading


def test_every_row_is_accepted_and_what_was_assumed_is_told(dataset: Dataset) -> None:
    report = dataset.report

    assert (report.rows, report.accepted) == (ROWS, ROWS)
    assert (report.repeated_ids, report.backward) == (0, 0)
    assert report.notices == [
        "event_time: times without offset are read as UTC",
        "amount: 1,214 values differ from 2 decimals by floating-point noise: rounded",
    ]


def test_the_labels_cover_all_rows(history: LabelledHistory) -> None:
    assert len(history.fraud) == ROWS
    assert history.fraud.sum() == FRAUDS


# Features


def test_all_rows_are_featurized_in_less_than_a_minute(featurized: Featurized) -> None:
    assert len(featurized.rows) == ROWS
    assert featurized.seconds < 60


def test_rows_keep_their_ids_and_order(
    featurized: Featurized, payments: pd.DataFrame
) -> None:
    ids = featurized.rows["transaction_id"].tolist()

    assert ids == list(map(str, payments.transaction_id))


@pytest.mark.parametrize("days", [1, 7, 30])
def test_windows_equal_an_independent_computation_with_pandas(
    featurized: Featurized, payments: pd.DataFrame, days: int
) -> None:
    """Counts exactly, means to 1e-9, on all rows."""
    counts, means = _windows_by_pandas(payments, days)

    count, mean = (
        featurized.rows[f"customer_{name}_{days}d"].to_numpy()
        for name in ("transaction_count", "amount_mean")
    )
    assert int((count != counts).sum()) == 0
    assert float(np.abs(mean - means).max()) < 1e-9


def _windows_by_pandas(
    payments: pd.DataFrame, days: int
) -> tuple[np.ndarray, np.ndarray]:
    """Count and mean amount over (t - days, t] of each customer, ties in file order."""
    ordered = payments.sort_values(["customer_id", "event_time"], kind="stable")
    rolling = (
        ordered.assign(cents=(ordered.amount * 100).round())
        .set_index("event_time")
        .groupby("customer_id")["cents"]
        .rolling(f"{days}D", closed="right")
    )
    counts, means = np.empty(len(payments)), np.empty(len(payments))
    counts[ordered.index] = rolling.count().to_numpy()
    means[ordered.index] = rolling.mean().to_numpy() / 100
    return counts, means


def test_the_calendar_equals_pandas(
    featurized: Featurized, payments: pd.DataFrame
) -> None:
    when = payments.event_time.dt
    weekend, night = when.day_of_week >= 5, when.hour <= 6

    assert np.array_equal(featurized.rows["is_weekend"], weekend)
    assert np.array_equal(featurized.rows["is_night"], night)


# The protocol


def test_the_split_has_the_published_numbers_of_rows_and_frauds(
    history: LabelledHistory, windows: Windows
) -> None:
    found = split(history, windows)

    train = history.fraud[found.train]
    assert (len(train), int(train.sum())) == TRAIN
    assert int(found.train_fraud.sum()) == TRAIN[1], "all are known by 08-08"
    assert (len(found.test), int(history.fraud[found.test].sum())) == TEST
    assert period(windows.first_ms, windows.until_ms) == "2018-07-25..2018-07-31"
    evaluated = period(windows.test_first_ms, windows.test_until_ms)
    assert evaluated == "2018-08-08..2018-08-14"


def test_a_constant_score_has_the_published_card_precision(
    history: LabelledHistory, windows: Windows
) -> None:
    """Published: 0.017, of which cards come first is chance; and 0.397 at best."""
    rows = split(history, windows).test
    fraud = history.fraud[rows]
    day, customer = day_of_evaluation(history, windows, rows), history.customer[rows]

    constant = card_precision(fraud, np.zeros(len(rows)), day=day, customer=customer)
    perfect = fraud.astype(np.float64)
    best = card_precision(fraud, perfect, day=day, customer=customer)

    assert constant == pytest.approx(0.017, abs=0.01)
    assert best == pytest.approx(0.397, abs=0.001)


def test_the_published_logistic_regression_is_reproduced(
    dataset: Dataset,
    history: LabelledHistory,
    windows: Windows,
    payments: pd.DataFrame,
) -> None:
    """Published: AUC 0.871, average precision 0.606, card precision 0.291.

    Our features, split, model and figures give the published result: the protocol is
    right.
    """
    spec = read_spec("book")
    X = feature_matrix(spec, dataset.events, history=history)
    data = Prepared(spec, spec, dataset.events, history, X)

    found = fit(data, windows, FitPlan(kind="logistic")).ranking

    assert found.average_precision == pytest.approx(0.606, abs=0.002)
    assert found.roc_auc == pytest.approx(0.871, abs=0.002)
    assert found.card_precision == pytest.approx(0.291, abs=0.002)


def test_the_terminal_features_are_those_of_pandas(
    dataset: Dataset, history: LabelledHistory, payments: pd.DataFrame
) -> None:
    """All rows: the labels of frauds come to the stream's windows seven days later."""
    spec = read_spec("book")
    X = feature_matrix(spec, dataset.events, history=history)
    expected = _terminal_features_by_pandas(payments)

    for i, days in enumerate((1, 7, 30)):
        count = spec.feature_names.index(f"terminal_transaction_count_{days}d")
        rate = spec.feature_names.index(f"terminal_fraud_rate_{days}d")
        assert np.array_equal(X[:, count], expected[:, 2 * i])
        np.testing.assert_allclose(X[:, rate], expected[:, 2 * i + 1], atol=1e-9)


def test_neither_the_future_nor_a_young_label_changes_a_row(
    dataset: Dataset, history: LabelledHistory
) -> None:
    """Corrupt what comes after a moment, and all labels not known at it."""
    spec = read_spec("handbook")
    moment_ms = parse_until_ms("2018-05-31")
    past = int(np.searchsorted(dataset.events.event_time_ms, moment_ms))
    until = int(np.searchsorted(dataset.events.event_time_ms, moment_ms + 9 * DAY_MS))
    events, labelled = dataset.events.take(slice(until)), history.take(slice(until))
    amounts = np.array(events.columns["amount"])
    amounts[past:] = amounts[past:][::-1] * 7
    corrupted = dataclasses.replace(
        events, columns={**events.columns, "amount": amounts}
    )
    young = labelled.known_ms > moment_ms
    turned = dataclasses.replace(labelled, fraud=labelled.fraud ^ young)

    before = feature_matrix(spec, events, history=labelled)
    after = feature_matrix(spec, corrupted, history=turned)

    assert before[:past].tobytes() == after[:past].tobytes()
    assert before[past:].tobytes() != after[past:].tobytes()


def _terminal_features_by_pandas(payments: pd.DataFrame) -> np.ndarray:
    """Count and share of frauds over (t - 7 - days, t - 7] of each terminal."""
    ordered = payments.sort_values(["terminal_id", "event_time"], kind="stable")
    by_terminal = ordered.set_index("event_time").groupby("terminal_id")["fraud"]
    recent = by_terminal.rolling("7D", closed="right")
    columns = []
    for days in (1, 7, 30):
        whole = by_terminal.rolling(f"{7 + days}D", closed="right")
        count = whole.count().to_numpy() - recent.count().to_numpy()
        frauds = whole.sum().to_numpy() - recent.sum().to_numpy()
        columns += [count, frauds / np.maximum(count, 1)]
    rows = np.empty((len(payments), len(columns)))
    rows[ordered.index] = np.column_stack(columns)
    return rows


# A fit


# Without labels as features, more than 0.35 would be a leak; with them more than 0.79.
@pytest.mark.parametrize(
    ("spec", "lowest", "highest"),
    [("customer", 0.20, 0.35), ("handbook", 0.72, 0.79)],
    ids=["customer", "handbook"],
)
def test_a_fit_is_printed_beside_the_published_figures(
    handbook: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spec: str,
    lowest: float,
    highest: float,
) -> None:
    code = main(
        [
            "fit",
            f"--spec={spec}",
            f"--transactions={handbook}",
            f"--labels={handbook}",
            f"--out={tmp_path}",
            "--train-until=2018-07-31",
            "--version=fitted",
        ]
    )

    out = capsys.readouterr().out
    with capsys.disabled():
        print(f"\n--- fit --spec {spec}\n{out}")
    assert code == 0
    assert f"{TRAIN[0]:,} transactions, {TRAIN[1]} frauds" in out
    assert f"{TEST[0]:,} transactions, {TEST[1]} frauds" in out
    model = load_model(read_bundle(tmp_path, "fitted"))
    reached = model.manifest.metrics["average_precision"]
    assert lowest < reached < highest
    assert f"{reached:.3f}" in out
    assert "published: random forest" in out
    assert model.manifest.metrics["alerts_per_day"] == pytest.approx(100, abs=1)
