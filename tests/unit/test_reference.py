"""What training says of its values: bins, design effects, and windows long enough."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training.reference import binned, measured
from worker.drift import Baseline, critical_factor, null_mean, psi, slot_counts

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

#: A Monday in UTC.
START_MS = 1_534_723_200_000


def times_of(count: int, *, days: int) -> NDArray[np.int64]:
    random = np.random.default_rng(1)
    return np.sort(random.integers(0, days * DAY_MS, count)) + START_MS


def test_bins_of_many_values_hold_a_tenth_each() -> None:
    values = np.random.default_rng(0).lognormal(3, 1, 10_000)

    assert binned(values).counts == (1_000,) * 10 + (0, 0)


def test_a_flag_has_two_bins() -> None:
    assert binned(np.repeat([0.0, 1.0], [900, 100])) == Baseline(
        (0.0,), 0.0, 1.0, (900, 100, 0, 0)
    )


def test_no_bin_has_less_than_a_thousandth() -> None:
    values = np.repeat([0.0, 1.0, 2.0, 3.0], [7_946, 4, 2_041, 9])

    assert binned(values).counts == (7_946, 2_054, 0, 0)


def test_what_is_rare_in_training_has_a_bin() -> None:
    assert binned(np.repeat([0.0, 1.0], [9_980, 20])).counts == (9_980, 20, 0, 0)


def test_missing_values_have_a_bin_and_take_no_part_in_the_others() -> None:
    values = np.array([np.nan] * 50 + [1.0] * 25 + [2.0] * 25)

    assert binned(values).counts == (25, 25, 50, 0)


def test_where_training_saw_no_value_any_is_unknown() -> None:
    baseline = binned(np.full(20, np.nan))

    assert baseline.counts == (0, 20, 0)
    assert slot_counts(np.array([-1.0, 0.0, 0.5, 1.0, np.nan]), baseline).tolist() == [
        *(0, 1, 4)
    ]


def test_psi_is_0_for_the_reference_and_for_nothing() -> None:
    ratios = np.array([0.5, 0.3, 0.2])

    found = psi(np.array([[50, 30, 20], [0, 0, 0]]), ratios)

    assert found.tolist() == pytest.approx([0, 0], abs=1e-15)


def test_psi_of_much_is_that_of_the_textbook() -> None:
    live, ratios = np.array([0.2, 0.3, 0.5]), np.array([0.5, 0.3, 0.2])
    expected = ((live - ratios) * np.log(live / ratios)).sum()

    found = psi((live * 1e9).astype(np.int64)[None], ratios)

    assert found.tolist() == pytest.approx([expected], rel=1e-6)


def test_independent_values_follow_the_null_law() -> None:
    """Mean, and no more than one in a thousand beyond four standard deviations."""
    random = np.random.default_rng(2)
    baseline = binned(random.normal(size=200_000))
    counts = random.multinomial(1_000, baseline.ratios / baseline.ratios.sum(), 4_000)

    found = psi(counts, baseline.ratios)

    expected = float(null_mean(np.array([1_000]), baseline)[0])
    assert found.mean() == pytest.approx(expected, rel=0.05)
    assert np.mean(found > expected * critical_factor(9)) <= 1e-3


def test_independent_values_have_no_design_effect() -> None:
    times = times_of(60_000, days=14)
    values = np.random.default_rng(5).normal(size=len(times))

    baseline = measured(values, times)

    assert baseline.min_window_seconds == 3_600
    assert max(baseline.design_effects) < 1.1


def test_bursts_of_equal_values_have_a_design_effect() -> None:
    times = times_of(60_000, days=14)
    values = np.repeat(np.random.default_rng(5).normal(size=12_000), 5)

    baseline = measured(values, times)

    assert baseline.design_effects[0] == pytest.approx(5, rel=0.25)


def test_the_hour_looks_like_itself_over_a_day_only() -> None:
    times = times_of(60_000, days=14)

    baseline = measured((times // HOUR_MS % 24).astype(float), times)

    assert baseline.min_window_seconds == 86_400
    assert baseline.design_effects[0] > 50


def test_the_weekend_looks_like_itself_over_a_week_only() -> None:
    times = times_of(60_000, days=14)
    weekday = (times // DAY_MS + 3) % 7

    baseline = measured((weekday >= 5).astype(float), times)

    assert baseline.min_window_seconds == 604_800


def test_what_never_looks_like_itself_has_no_window() -> None:
    times = times_of(60_000, days=14)

    assert measured(times.astype(float), times).min_window_seconds == 0
