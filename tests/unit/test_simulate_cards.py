"""Simulated cards are what their rules say, and what their spec accepts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from training.dataset import read_dataset
from training.featurize import feature_matrix
from training.simulate_cards import (
    CATEGORIES,
    CardsPlan,
    CardsSimulation,
    simulate_cards,
)
from training.simulation_files import FileFormat, describe, write_simulation
from training.vocabularies import learn_vocabularies
from worker.errors import InvalidConfig
from worker.features import Spec

FORMATS = ["parquet", "jsonl", "csv"]
SPEC = Spec.from_toml((ROOT / "training" / "specs" / "cards.toml").read_text())


@pytest.fixture(scope="module")
def cards() -> CardsSimulation:
    return simulate_cards(CardsPlan())


def tiny(seed: int = 0) -> CardsSimulation:
    return simulate_cards(CardsPlan(cards=30, merchants=40, days=20, seed=seed))


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_same_plan_gives_the_same_bytes(
    tmp_path: Path, file_format: FileFormat
) -> None:
    written = [
        [
            path.read_bytes()
            for path in write_simulation(
                tiny(seed), tmp_path / name, file_format=file_format
            )
        ]
        for name, seed in (("one", 0), ("two", 0), ("other", 1))
    ]

    assert written[0] == written[1]
    assert written[0][0] != written[2][0]


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_spec_accepts_every_payment_and_computes_every_feature(
    tmp_path: Path, file_format: FileFormat
) -> None:
    simulation = tiny()
    path, _ = write_simulation(simulation, tmp_path, file_format=file_format)

    data = read_dataset(path, SPEC)
    learnt = learn_vocabularies(SPEC, data.events, slice(None))
    X = feature_matrix(learnt, data.events)

    assert len(data.events) == len(simulation)
    assert not data.report.rejections
    before = SPEC.feature_names.index("card_seconds_since_last_30d")
    assert not np.isnan(np.delete(X, before, axis=1)).any()
    ages = X[:, SPEC.feature_names.index("age")]
    assert ages.min() >= 18
    assert ages.max() <= 90


def test_payments_come_in_order_at_the_expected_rate(cards: CardsSimulation) -> None:
    assert (np.diff(cards.event_time_ms) >= 0).all()
    assert len(cards) == pytest.approx(2_000 * 90, rel=0.05)
    assert cards.fraud.mean() == pytest.approx(0.005, rel=0.3)
    assert describe(cards).startswith(f"{len(cards):,} payments of 2,000 cards, ")


def test_thieves_spend_far_away_on_what_can_be_sold(cards: CardsSimulation) -> None:
    place, home = cards.places[cards.merchant], cards.homes[cards.card]
    is_far = np.abs(place - home).max(axis=1) > 1.0
    category = cards.categories[cards.merchant]
    resold = {"electronics", "jewellery", "travel"}
    bought = np.unique(category[cards.fraud & is_far])

    assert is_far[cards.fraud].mean() == pytest.approx(0.58, abs=0.05)
    assert is_far[~cards.fraud].mean() == pytest.approx(0.048, abs=0.005)
    assert {CATEGORIES[number][0] for number in bought} == resold


def test_the_old_are_robbed_more_often(cards: CardsSimulation) -> None:
    years = (cards.event_time_ms[0] // 86_400_000 - cards.born) / 365.25
    victims = np.unique(cards.card[cards.fraud])
    is_victim = np.isin(np.arange(len(years)), victims)

    old, young = is_victim[years >= 70].mean(), is_victim[years < 70].mean()
    assert old > 2 * young


def test_a_plan_that_cannot_be_is_refused_with_every_problem() -> None:
    with pytest.raises(InvalidConfig) as refusal:
        CardsPlan(cards=0, merchants=3, fraud_card_rate=2)

    assert refusal.value.problems == (
        "cards is 0; expected 1 to 1e+07",
        "merchants is 3; expected 25 to 1e+07",
        "fraud_card_rate is 2; expected 0 to 1",
    )


def test_so_many_payments_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="payments are not simulated"):
        CardsPlan(cards=1_000_000, days=1_000)
