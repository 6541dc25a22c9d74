"""Figures agree with slow, obvious computations of their definitions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training_builders import START_MS, history_of
from training.commands.evaluate import judge
from training.evaluate import mean_ranking, week_windows
from training.fit import FitPlan
from training.metrics import (
    Ranking,
    alerts_at,
    card_precision,
    rank,
    threshold_for_budget,
)
from training.split import DAY_MS, SplitPlan
from worker.codec import published_scores
from worker.errors import InvalidConfig

#: (fraud, score, day, customer); few scores and customers, so that ties are many.
Row = tuple[bool, float, int, int]
ROWS = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(0, 8).map(lambda tenths: tenths / 10),
        st.integers(0, 3),
        st.integers(0, 6),
    ),
    min_size=2,
    max_size=40,
).filter(lambda rows: {row[0] for row in rows} == {False, True})
SCORES = st.lists(
    st.floats(0, 1).map(lambda score: round(score, 9)), min_size=1, max_size=50
)


def columns(rows: Sequence[Row]) -> tuple[np.ndarray, ...]:
    fraud, scores, day, customer = zip(*rows, strict=True)
    return (
        np.array(fraud),
        np.array(scores, float),
        np.array(day, np.int64),
        np.array(customer, np.int64),
    )


# Rankings


def slow_average_precision(rows: Sequence[Row]) -> float:
    """Sum of precision times gain in recall over thresholds, in fractions."""
    frauds = sum(row[0] for row in rows)
    total, recall = Fraction(0), Fraction(0)
    for threshold in sorted({row[1] for row in rows}, reverse=True):
        flagged = [row for row in rows if row[1] >= threshold]
        hits = sum(row[0] for row in flagged)
        total += (Fraction(hits, frauds) - recall) * Fraction(hits, len(flagged))
        recall = Fraction(hits, frauds)
    return float(total)


def slow_roc_auc(rows: Sequence[Row]) -> float:
    """Chance that a fraud scores above a genuine one, ties counting half."""
    frauds = [row[1] for row in rows if row[0]]
    genuine = [row[1] for row in rows if not row[0]]
    wins = sum(
        Fraction(2 * (bad > good) + (bad == good), 2)
        for bad in frauds
        for good in genuine
    )
    return float(wins / (len(frauds) * len(genuine)))


def slow_card_precision(rows: Sequence[Row], cards: int) -> float:
    found: set[int] = set()
    shares = []
    for today in sorted({row[2] for row in rows}):
        score: dict[int, float] = defaultdict(lambda: -1.0)
        victim: dict[int, bool] = defaultdict(bool)
        for fraud, value, day, customer in rows:
            if day == today and customer not in found:
                score[customer] = max(score[customer], value)
                victim[customer] |= fraud
        checked = sorted(score, key=lambda customer: (-score[customer], customer))
        hits = {customer for customer in checked[:cards] if victim[customer]}
        found |= hits
        shares.append(len(hits) / cards)
    return sum(shares) / len(shares)


@given(ROWS)
def test_figures_equal_their_definitions(rows: list[Row]) -> None:
    fraud, scores, day, customer = columns(rows)

    found = rank(fraud, scores, day=day, customer=customer)

    assert found.average_precision == pytest.approx(slow_average_precision(rows))
    assert found.roc_auc == pytest.approx(slow_roc_auc(rows))
    assert found.card_precision == pytest.approx(slow_card_precision(rows, 100))
    perfect = [(row[0], float(row[0]), row[2], row[3]) for row in rows]
    assert found.best_card_precision == pytest.approx(slow_card_precision(perfect, 100))


@given(ROWS, st.integers(1, 5))
def test_card_precision_equals_its_definition(rows: list[Row], cards: int) -> None:
    fraud, scores, day, customer = columns(rows)

    found = card_precision(
        fraud, scores, day=day, customer=customer, cards_per_day=cards
    )

    assert found == pytest.approx(slow_card_precision(rows, cards))


def test_a_victim_that_was_found_is_not_found_again() -> None:
    """Day 0 finds customer 1; on day 1 the only check goes to customer 2."""
    fraud, scores, day, customer = columns(
        [(True, 0.9, 0, 1), (True, 0.9, 1, 1), (False, 0.1, 1, 2)]
    )

    found = card_precision(fraud, scores, day=day, customer=customer, cards_per_day=1)

    assert found == 0.5


def test_a_constant_score_ranks_nothing() -> None:
    fraud, scores, day, customer = columns(
        [(False, 0.5, 0, i) for i in range(9)] + [(True, 0.5, 0, 9)]
    )

    found = rank(fraud, scores, day=day, customer=customer)

    assert found.average_precision == pytest.approx(0.1)
    assert found.roc_auc == 0.5


def test_no_transaction_has_no_card_precision() -> None:
    nothing = np.zeros(0, np.int64)

    found = card_precision(
        np.zeros(0, bool), np.zeros(0), day=nothing, customer=nothing
    )

    assert found == 0.0


# Thresholds


@given(SCORES, st.integers(1, 60))
def test_a_threshold_keeps_the_budget_and_wastes_none(
    scores: list[float], alerts: int
) -> None:
    values = np.array(scores)

    threshold = threshold_for_budget(values, alerts=alerts)

    flagged = int((values >= threshold).sum())
    assert flagged <= alerts
    lower = values[values < threshold]
    if len(lower):
        assert int((values >= lower.max()).sum()) > alerts


@given(SCORES, st.integers(1, 60))
def test_a_threshold_is_a_published_score(scores: list[float], alerts: int) -> None:
    threshold = threshold_for_budget(np.array(scores), alerts=alerts)

    assert published_scores(np.array([threshold]))[0] == threshold


def test_a_score_shared_by_more_than_the_budget_flags_nothing() -> None:
    values = np.array([0.25] * 10)

    assert threshold_for_budget(values, alerts=9) == 0.250000001
    assert threshold_for_budget(values, alerts=10) == 0.25


def test_alerts_are_counted_at_and_above_the_threshold() -> None:
    fraud = np.array([True, True, False, False])
    scores = np.array([0.9, 0.2, 0.5, 0.1])

    found = alerts_at(0.5, fraud, scores, days=4)

    assert (found.per_day, found.precision, found.recall) == (0.5, 0.5, 0.5)


def test_the_share_of_nothing_is_no_number() -> None:
    found = alerts_at(1.0, np.array([False]), np.array([0.5]), days=1)

    assert np.isnan(found.precision)
    assert np.isnan(found.recall)


# Weeks


def test_weeks_follow_each_other_without_overlap() -> None:
    plan = FitPlan(lengths=SplitPlan(train_days=14, test_days=7))
    history = history_of([(START_MS, 1, False), (START_MS + 100 * DAY_MS, 1, True)])

    weeks = week_windows(history, plan, weeks=3)

    assert weeks[-1].test_until_ms == START_MS + 101 * DAY_MS
    for one, two in pairwise(weeks):
        assert one.test_until_ms == two.test_first_ms
        assert one.until_ms + 7 * DAY_MS == two.until_ms


def test_weeks_may_begin_where_one_says() -> None:
    history = history_of([(START_MS, 1, False), (START_MS + 100 * DAY_MS, 1, True)])

    weeks = week_windows(history, FitPlan(), weeks=2, until_ms=START_MS + 30 * DAY_MS)

    assert weeks[0].until_ms == START_MS + 30 * DAY_MS
    assert weeks[1].until_ms == START_MS + 37 * DAY_MS


def test_no_week_is_no_evaluation() -> None:
    history = history_of([(START_MS, 1, False)])

    with pytest.raises(InvalidConfig, match="weeks: 0 is less than 1"):
        week_windows(history, FitPlan(), weeks=0)


def test_the_mean_is_that_of_each_figure() -> None:
    weeks = [Ranking(0.2, 0.6, 0.1, 0.4), Ranking(0.4, 0.8, 0.3, 0.4)]

    mean, deviation = mean_ranking(weeks)

    assert list(mean.figures().values()) == pytest.approx([0.3, 0.7, 0.2, 0.4])
    assert list(deviation.figures().values()) == pytest.approx([0.1, 0.1, 0.1, 0.0])


@pytest.mark.parametrize(
    ("reached", "minimum", "code"),
    [(0.3, None, 0), (0.3, 0.3, 0), (0.3, 0.31, 1), (0.3, 0.29, 0)],
)
def test_a_gate_lets_through_what_reaches_it(
    reached: float, minimum: float | None, code: int
) -> None:
    assert judge(reached, minimum) == code
