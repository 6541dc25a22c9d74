"""Results that are too good to be true are told, others are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training_builders import small_history, small_spec
from training import handbook
from training.featurize import feature_matrix
from training.fit import Evaluation, FitPlan, Prepared, fit
from training.leakage import leak_warnings
from training.split import LabelledHistory, Windows, latest_until_ms

NAMES = small_spec().feature_names


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    spec = small_spec()
    events, history = small_history(tmp_path_factory.mktemp("data"), spec)
    return Prepared(spec, spec, events, history, feature_matrix(spec, events))


def evaluated(data: Prepared) -> Evaluation:
    plan = FitPlan()
    until_ms = latest_until_ms(data.history, plan.lengths)
    return fit(data, Windows.ending(until_ms, plan.lengths), plan)


def the_handbooks() -> LabelledHistory:
    """A history of as many transactions and frauds as the Handbook's."""
    zeros = np.zeros(handbook.TRANSACTIONS, np.int64)
    fraud = np.arange(handbook.TRANSACTIONS) < handbook.FRAUDS
    return LabelledHistory(zeros, zeros, fraud, zeros)


def test_an_honest_evaluation_warns_of_nothing(data: Prepared) -> None:
    week = evaluated(data)

    assert list(leak_warnings([week], data, data.history, NAMES)) == []


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_feature_that_is_the_label_is_named(data: Prepared, sign: float) -> None:
    X = data.X.copy()
    noise = np.random.default_rng(0).normal(0, 0.05, len(X))
    X[:, 2] = sign * (data.history.fraud + noise)
    X[::500, 2] = np.nan
    leaky = replace(data, X=X)

    first, second = leak_warnings([evaluated(leaky)], leaky, data.history, NAMES)

    assert "is above 0.98" in first
    assert second.startswith(f"{NAMES[2]} alone ranks the last evaluation")


def test_what_the_handbooks_generator_does_not_allow_is_told(data: Prepared) -> None:
    week = evaluated(data)
    history = the_handbooks()

    def warnings(average_precision: float, roc_auc: float) -> list[str]:
        ranking = replace(
            week.ranking, average_precision=average_precision, roc_auc=roc_auc
        )
        made = replace(week, ranking=ranking)
        return list(leak_warnings([made], data, history, NAMES))

    assert warnings(0.76, 0.89) == []
    (precision,) = warnings(0.791, 0.89)
    (auc,) = warnings(0.76, 0.92)
    assert precision.startswith("mean average precision 0.791 is above 0.79")
    assert auc.startswith("mean ROC AUC 0.920 is above 0.91")


def test_the_same_figures_on_other_data_are_no_leak(data: Prepared) -> None:
    week = evaluated(data)
    ranking = replace(week.ranking, average_precision=0.95, roc_auc=0.95)
    good = replace(week, ranking=ranking)

    assert list(leak_warnings([good], data, data.history, NAMES)) == []


def test_published_figures_stand_beside_their_own_data_and_weeks_only() -> None:
    plan = FitPlan()
    untils = [1_533_081_600_000 + week * 604_800_000 for week in range(4)]
    weeks = [Windows.ending(until_ms, plan.lengths) for until_ms in untils]
    history = the_handbooks()
    other = history.take(slice(1, None))

    assert handbook.four_weeks(history, weeks) == handbook.FOUR_WEEKS
    assert handbook.one_week(history, weeks[0]) == handbook.ONE_WEEK
    assert handbook.four_weeks(history, weeks[:3]) == ()
    assert handbook.one_week(history, weeks[1]) == ()
    assert handbook.four_weeks(other, weeks) == ()
    assert handbook.one_week(other, weeks[0]) == ()
