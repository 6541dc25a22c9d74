"""What to simulate of cards: sizes, dates and rates, checked."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from training.simulation_plan import DAY_MS
from worker.errors import InvalidConfig

#: Each has merchants of its own.
TOWNS = 25

#: More would not fit into the memory of an ordinary machine.
_MAX_PAYMENTS = 50_000_000

_LIMITS = (
    ("cards", 1, 10_000_000),
    ("merchants", TOWNS, 10_000_000),
    ("days", 1, 100_000),
    ("seed", 0, 2**32),
    ("fraud_card_rate", 0, 1),
    ("label_delay_ms", 0, 100_000 * DAY_MS),
)


@dataclass(frozen=True, slots=True)
class CardsPlan:
    """What to simulate.

    Attributes
    ----------
    fraud_card_rate
        Share of the cards that are stolen each day: a handful of payments within hours,
        most of them far from home at merchants whose goods can be sold on.

    Raises
    ------
    InvalidConfig
        Where a number is out of range.
    """

    cards: int = 2_000
    merchants: int = 800
    days: int = 90
    start: dt.date = dt.date(2024, 1, 1)
    seed: int = 0
    fraud_card_rate: float = 0.001
    label_delay_ms: int = 7 * DAY_MS

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)}; expected {low:g} to {high:g}"
            for name, low, high in _LIMITS
            if not low <= getattr(self, name) <= high
        ]
        if self.cards * self.days > _MAX_PAYMENTS:
            problems.append(f"more than {_MAX_PAYMENTS:,} payments are not simulated")
        if problems:
            raise InvalidConfig(problems, subject="simulation")

    @property
    def start_ms(self) -> int:
        """Midnight UTC of the first day, in milliseconds since 1970."""
        return (self.start - dt.date(1970, 1, 1)).days * DAY_MS
