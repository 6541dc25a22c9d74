"""What to simulate: sizes, dates and rates, checked."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from dataclasses import dataclass

from worker.errors import InvalidConfig

DAY_MS = 86_400_000

#: Side of the square on which customers and terminals live.
SIDE = 100.0

#: Mean number of terminals within a customer's reach, unless the plan says otherwise.
_MEAN_TERMINALS_IN_REACH = 78.5

#: More would not fit into the memory of an ordinary machine (about 100 bytes each).
_MAX_PAYMENTS = 100_000_000

#: Names of numbers, and the range that each must lie in.
_LIMITS: tuple[tuple[tuple[str, ...], float, float], ...] = (
    (("customers", "terminals", "days"), 1, 10_000_000),
    (("seed", "stretch"), 0, 2**32),
    (("radius",), 0, 2 * SIDE),
    (("fraud_amount", "fraud_factor"), 0, 1_000_000),
    (("fraud_terminal_rate", "fraud_customer_rate"), 0, 1),
    (("fraud_terminal_days", "fraud_customer_days"), 0, 100_000),
    (("label_delay_ms",), 0, 100_000 * DAY_MS),
)


@dataclass(frozen=True, slots=True)
class SimulationPlan:
    """What to simulate; the defaults are the size and the rates of the Handbook.

    Attributes
    ----------
    stretch
        Of the time of the same people: the seed decides who they are, the stretch what
        they do. Compromises begin anew in each.
    radius
        How far a customer goes to pay, on a square of 100; by default so that about
        78 terminals are in reach (5 at 10,000 terminals).
    fraud_amount
        Every payment above it is fraudulent.
    fraud_terminal_rate, fraud_terminal_days
        Share of the terminals compromised each day; all payments there are
        fraudulent for that many days.
    fraud_customer_rate, fraud_customer_days, fraud_factor
        Share of the customers compromised each day; for that many days a third of
        their payments are fraudulent, the amount multiplied by the factor.
    label_delay_ms
        How long after the payment a fraud is confirmed.

    Raises
    ------
    InvalidConfig
        Where a number is out of range.
    """

    customers: int = 5_000
    terminals: int = 10_000
    days: int = 183
    start: dt.date = dt.date(2018, 4, 1)
    seed: int = 0
    stretch: int = 0
    radius: float | None = None
    fraud_amount: float = 220.0
    fraud_terminal_rate: float = 0.0002
    fraud_terminal_days: int = 28
    fraud_customer_rate: float = 0.0006
    fraud_customer_days: int = 14
    fraud_factor: float = 5.0
    label_delay_ms: int = 7 * DAY_MS

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise InvalidConfig(problems, subject="simulation")

    @property
    def start_ms(self) -> int:
        """Midnight UTC of the first day, in milliseconds since 1970."""
        return (self.start - dt.date(1970, 1, 1)).days * DAY_MS

    @property
    def reach(self) -> float:
        """The radius in use."""
        if self.radius is not None:
            return self.radius
        return SIDE * math.sqrt(_MEAN_TERMINALS_IN_REACH / math.pi / self.terminals)

    @property
    def terminals_per_day(self) -> float:
        """How many terminals are compromised on a mean day."""
        return self.fraud_terminal_rate * self.terminals

    @property
    def customers_per_day(self) -> float:
        """How many customers are compromised on a mean day."""
        return self.fraud_customer_rate * self.customers


def _problems(plan: SimulationPlan) -> Iterator[str]:
    """One sentence for each number that is out of range."""
    for names, lowest, highest in _LIMITS:
        for name in names:
            value = getattr(plan, name)
            if value is not None and not lowest <= value <= highest:
                yield f"{name} is {value}; expected {lowest:g} to {highest:g}"
    payments = 2 * plan.customers * plan.days
    if payments > _MAX_PAYMENTS:
        yield f"about {payments:,} payments; at most {_MAX_PAYMENTS:,} are simulated"
