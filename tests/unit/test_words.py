"""Features and values are named as an analyst would name them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.journeys import journeys
from tests.transform_builders import everything
from worker.features import Spec
from worker.features.declarations import Feature
from worker.scoring.values import writer
from worker.scoring.words import brief_phrase, phrase

CUSTOMER = Spec.from_toml((ROOT / "training" / "specs" / "customer.toml").read_text())


def feature(name: str, spec: Spec = CUSTOMER) -> Feature:
    (found,) = (one for one in spec.features if one.name == name)
    return found


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("amount", 1640.5, "amount: 1,640.50"),
        (
            "amount_tail",
            640,
            "amount, limited to 150 to 1000, rounded to multiples of 5: about 640.00",
        ),
        ("hour", 5.0, "hour of the day (UTC): 5"),
        ("is_weekend", 1.0, "weekend (UTC): yes"),
        ("is_night", 0.0, "night, from 0 to 6 o'clock (UTC): no"),
        (
            "customer_transaction_count_1d",
            14.0,
            "number of transactions of this customer in 1 day: 14",
        ),
        (
            "customer_amount_mean_30d",
            53.2468,
            "mean amount of this customer in 30 days: 53.25",
        ),
        (
            "customer_amount_max_1d",
            math.nan,
            "greatest amount of this customer in 1 day before this one: none",
        ),
        (
            "customer_terminal_count_7d",
            3.0,
            "number of different values of terminal id of this customer in 7 days: 3",
        ),
        (
            "customer_seconds_since_last_30d",
            200.0,
            "time since the last transaction of this customer in 30 days: 3.3 minutes",
        ),
        (
            "amount_ratio_30d",
            2.1904,
            "amount divided by the mean amount of this customer in 30 days: 2.19",
        ),
        (
            "customer_large_count_14d",
            2.0,
            (
                "number of transactions of this customer in 14 days, where amount "
                "divided by the mean amount of this customer in 30 days is above 2.5: 2"
            ),
        ),
    ],
)
def test_a_feature_and_its_value_in_words(name: str, value: float, text: str) -> None:
    one = feature(name)

    assert f"{phrase(one, CUSTOMER)}: {writer(one, CUSTOMER)(value)}" == text


HANDBOOK = Spec.from_toml((ROOT / "training" / "specs" / "handbook.toml").read_text())


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("amount", 34.0, "amount: 34.00"),
        ("amount_tail", 720.0, "amount: about 720.00"),
        ("amount_tail", 1000.0, "amount: 1,000.00 or more"),
        ("amount_tail", 150.0, "amount: 150.00 or less"),
        (
            "amount_ratio",
            15.75,
            (
                "amount divided by the mean amount of this customer in 30 days before "
                "this one: 15.75"
            ),
        ),
        (
            "amount_ratio",
            0.0,
            (
                "amount divided by the mean amount of this customer in 30 days before "
                "this one: 0"
            ),
        ),
        (
            "customer_unusual_count_7d",
            3.0,
            (
                "transactions of this customer in 7 days, where amount ratio is above "
                "2.5: 3"
            ),
        ),
        (
            "terminal_unexplained_fraud_count_7d",
            2.0,
            (
                "confirmed frauds of this terminal in 7 days until 7 days ago, where "
                "amount ratio is below 2.5: 2"
            ),
        ),
    ],
)
def test_a_reason_is_brief_and_says_where_a_value_was_cut(
    name: str, value: float, text: str
) -> None:
    one = feature(name, HANDBOOK)

    assert f"{brief_phrase(one, HANDBOOK)}: {writer(one, HANDBOOK)(value)}" == text


def test_no_reason_of_a_shipped_spec_is_longer_than_a_line_and_a_half() -> None:
    for path in (ROOT / "training" / "specs").glob("*.toml"):
        spec = Spec.from_toml(path.read_text())
        for one in spec.features:
            assert len(brief_phrase(one, spec)) <= 125, one.name
            assert len(brief_phrase(one, spec)) <= len(phrase(one, spec)), one.name


def test_a_logarithm_is_written_as_it_is() -> None:
    """Its limits are those of the field, and mean nothing to it."""
    text = (
        CUSTOMER.text
        + """
[[feature]]
name = "amount_log"
field = "amount"
log = true
clip = [0, 5]
"""
    )
    spec = Spec.from_toml(text)

    one = feature("amount_log", spec)
    assert brief_phrase(one, spec) == "amount, as the logarithm of 1 + x"
    assert writer(one, spec)(6.0) == "6"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("category", 1.0, "category: café"),
        ("category", 3.0, "category: unknown"),
        ("category", math.nan, "category: none"),
        ("merchant_code", 0.0, "code: 5411"),
        ("age", 41.0, "years since born: 41"),
        ("kilometres", 1234.5, "kilometres in km: 1,234.5"),
        (
            "kilometres_mean_60s",
            2.0,
            "mean kilometres in km of this card in 1 minute: 2",
        ),
    ],
)
def test_categories_distances_and_ages_in_words(
    name: str, value: float, text: str
) -> None:
    spec = journeys()
    one = feature(name, spec)

    assert f"{phrase(one, spec)}: {writer(one, spec)(value)}" == text


@pytest.mark.parametrize("path", sorted((ROOT / "training" / "specs").glob("*.toml")))
def test_every_feature_that_ships_has_words_for_itself_and_any_value(
    path: Path,
) -> None:
    spec = Spec.from_toml(path.read_text())

    for one in spec.features:
        assert phrase(one, spec)
        assert "_" not in phrase(one, spec)
        for value in (0.0, 1.0, 2.5, -3.0, 1e12, math.nan):
            assert writer(one, spec)(value)


@pytest.mark.parametrize(
    ("comparison", "words"),
    [
        ("above = 1.2", "above 1.2"),
        ("at_most = 3", "at most 3"),
        ("equals = 0", "equal to 0"),
    ],
)
def test_conditions_are_put_into_words(comparison: str, words: str) -> None:
    text = everything().text.replace("above = 1.2\noutput = false", comparison)
    spec = Spec.from_toml(text)
    condition = feature("is_large", spec)

    assert phrase(condition, spec).endswith(f" is {words}")
    assert [writer(condition, spec)(value) for value in (0.0, 1.0)] == ["no", "yes"]


def test_days_of_the_week_have_names() -> None:
    text = CUSTOMER.text.replace('calendar = "hour"', 'calendar = "weekday"')
    spec = Spec.from_toml(text)

    write = writer(feature("hour", spec), spec)

    assert [write(0.0), write(6.0), write(7.0)] == ["Monday", "Sunday", "7"]
