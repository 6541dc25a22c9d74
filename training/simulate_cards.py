"""Simulated card payments at merchants on a map, some with stolen cards.

Another shape than `training.simulate`: categories, coordinates and dates of birth in
place of terminals. Owns the rules of this generator, which are made up. Writes no file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulate_cards_plan import TOWNS, CardsPlan
from training.simulation_plan import DAY_MS

__all__ = ["CATEGORIES", "CardsPlan", "CardsSimulation", "simulate_cards"]

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

#: What merchants sell: their share, and the amount that is usual there.
CATEGORIES: tuple[tuple[str, float, float], ...] = (
    ("groceries", 0.26, 38.0),
    ("restaurant", 0.18, 29.0),
    ("fuel", 0.13, 52.0),
    ("clothing", 0.11, 64.0),
    ("pharmacy", 0.09, 21.0),
    ("entertainment", 0.08, 33.0),
    ("home", 0.06, 88.0),
    ("electronics", 0.05, 180.0),
    ("jewellery", 0.02, 260.0),
    ("travel", 0.02, 310.0),
)

#: Where thieves spend, by number.
_RESOLD = np.array([7, 8, 9])

#: Latitudes and longitudes between which the towns lie.
_LATITUDES, _LONGITUDES = (36.0, 60.0), (-9.0, 24.0)

#: How far homes and merchants lie from the middle of their town, in degrees.
_SPREAD = 0.08

#: Share of the payments that are made in another town.
_AWAY = 0.05

#: Share of a thief's payments that are made where the holder lives too.
_NEARBY = 0.4

_DAY_SECONDS = DAY_MS // 1_000

#: Age from which a holder is cheated more often, and how much more often.
_OLD_YEARS, _OLD_FACTOR = 70, 4.0


@dataclass(frozen=True, slots=True)
class CardsSimulation:
    """Payments in order of time; a payment's id is its row.

    Attributes
    ----------
    event_time_ms, card, merchant, amount_cents
        (n,) int64 each; cards and merchants are numbered from 0.
    fraud
        (n,) bool: the truth.
    homes, places
        (cards, 2) and (merchants, 2): latitude and longitude.
    born
        (cards,) int64, days since 1970 of the holders' births.
    categories
        (merchants,) int64, numbers in CATEGORIES.
    """

    event_time_ms: Integers
    card: Integers
    merchant: Integers
    amount_cents: Integers
    fraud: NDArray[np.bool_]
    homes: Floats
    places: Floats
    born: Integers
    categories: Integers
    label_delay_ms: int

    def __len__(self) -> int:
        return len(self.event_time_ms)

    @property
    def customer(self) -> Integers:
        """The card, which stands for its holder."""
        return self.card

    @property
    def label_time_ms(self) -> Integers:
        """(n,) int64: when the truth about each payment is known."""
        return self.event_time_ms + self.label_delay_ms


@dataclass(slots=True)
class _People:
    """Cards and merchants, and what is usual for them."""

    towns: Integers
    homes: Floats
    born: Integers
    spending: Floats
    places: Floats
    categories: Integers


@dataclass(slots=True)
class _Payments:
    """Payments in the making, seconds counted from the first day's midnight."""

    second: Integers
    card: Integers
    merchant: Integers
    factor: Floats


def simulate_cards(plan: CardsPlan) -> CardsSimulation:
    """Draw the payments of a plan: the same plan gives the same payments.

    Examples
    --------
    >>> small = simulate_cards(CardsPlan(cards=50, merchants=60, days=7))
    >>> int(small.card.max()) < 50, bool((small.amount_cents > 0).all())
    (True, True)
    """
    peopling, spending, stealing = (
        np.random.default_rng(stream)
        for stream in np.random.SeedSequence(plan.seed).spawn(3)
    )
    people = _draw_people(plan, peopling)
    genuine = _spend(plan, people, spending)
    stolen = _steal(plan, people, stealing)
    second, card, merchant, factor = (
        np.concatenate([getattr(genuine, name), getattr(stolen, name)])
        for name in ("second", "card", "merchant", "factor")
    )
    usual = np.array([amount for _, _, amount in CATEGORIES])
    amount = usual[people.categories[merchant]] * people.spending[card] * factor
    fraud = np.arange(len(second)) >= len(genuine.second)
    order = np.argsort(second, kind="stable")
    return CardsSimulation(
        event_time_ms=plan.start_ms + second[order] * 1_000,
        card=card[order],
        merchant=merchant[order],
        amount_cents=np.maximum(np.round(amount[order] * 100), 50).astype(np.int64),
        fraud=fraud[order],
        homes=people.homes,
        places=people.places,
        born=people.born,
        categories=people.categories,
        label_delay_ms=plan.label_delay_ms,
    )


def _draw_people(plan: CardsPlan, rng: np.random.Generator) -> _People:
    middles = np.column_stack(
        [rng.uniform(*_LATITUDES, TOWNS), rng.uniform(*_LONGITUDES, TOWNS)]
    )
    towns = rng.integers(0, TOWNS, plan.cards)
    ages_days = rng.uniform(18 * 365.25, 90 * 365.25, plan.cards).astype(np.int64)
    shares = [share for _, share, _ in CATEGORIES]
    return _People(
        towns=towns,
        homes=_near(middles[towns], rng),
        born=plan.start_ms // DAY_MS - ages_days,
        spending=rng.lognormal(0, 0.3, plan.cards),
        # Merchant m is in town m % TOWNS, so that each town has some.
        places=_near(middles[np.arange(plan.merchants) % TOWNS], rng),
        categories=rng.choice(len(CATEGORIES), plan.merchants, p=shares),
    )


def _near(middles: Floats, rng: np.random.Generator) -> Floats:
    """Return places near others, at the precision of a street: 1e-4 degrees."""
    near: Floats = np.round(middles + rng.normal(0, _SPREAD, middles.shape), 4)
    return near


def _spend(plan: CardsPlan, people: _People, rng: np.random.Generator) -> _Payments:
    """Genuine payments: about one a day, in the afternoon, mostly in one's own town."""
    rates = rng.gamma(2, 0.5, plan.cards)
    counts = rng.poisson(rates[:, None], (plan.cards, plan.days))
    card = np.repeat(np.arange(plan.cards), counts.sum(axis=1))
    day = np.repeat(np.tile(np.arange(plan.days), plan.cards), counts.ravel())
    clock = rng.normal(15 * 3600, 4 * 3600, len(card)) % _DAY_SECONDS
    is_away = rng.random(len(card)) < _AWAY
    town = np.where(is_away, rng.integers(0, TOWNS, len(card)), people.towns[card])
    return _Payments(
        second=day * _DAY_SECONDS + clock.astype(np.int64),
        card=card,
        merchant=_merchant_in(town, plan.merchants, rng),
        factor=rng.lognormal(0, 0.4, len(card)),
    )


def _merchant_in(town: Integers, merchants: int, rng: np.random.Generator) -> Integers:
    """Choose, for each payment, one of the merchants of a town."""
    count = (merchants - 1 - town) // TOWNS + 1
    chosen: Integers = town + TOWNS * rng.integers(0, count)
    return chosen


def _steal(plan: CardsPlan, people: _People, rng: np.random.Generator) -> _Payments:
    """Payments with stolen cards: in a row, at any hour, some where the holder lives.

    All others are made far away, for what can be sold on.
    """
    ages = (plan.start_ms // DAY_MS - people.born) / 365.25
    risk = np.where(ages >= _OLD_YEARS, _OLD_FACTOR, 1.0)
    risk *= plan.fraud_card_rate / risk.mean()
    victim, day = np.nonzero(rng.random((plan.cards, plan.days)) < risk[:, None])
    counts = 2 + rng.poisson(3, len(victim))
    card, first = np.repeat(victim, counts), np.repeat(day, counts) * _DAY_SECONDS
    first += np.repeat(rng.integers(0, _DAY_SECONDS, len(victim)), counts)
    later = rng.exponential(1_800, len(card)) * _places_in_row(counts)
    second = first + later.astype(np.int64)
    resold = np.flatnonzero(np.isin(people.categories, _RESOLD))
    any_merchant = np.arange(plan.merchants)
    kept = second < plan.days * _DAY_SECONDS
    far_away = rng.choice(resold if len(resold) else any_merchant, len(card))
    nearby = _merchant_in(people.towns[card], plan.merchants, rng)
    merchant = np.where(rng.random(len(card)) < _NEARBY, nearby, far_away)
    factor = rng.lognormal(0.2, 0.4, len(card))
    return _Payments(second[kept], card[kept], merchant[kept], factor[kept])


def _places_in_row(counts: Integers) -> Integers:
    """Return 0, 1, ... up to each count.

    >>> _places_in_row(np.array([3, 2])).tolist()
    [0, 1, 2, 0, 1]
    """
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    places: Integers = np.arange(int(counts.sum())) - starts
    return places
