"""Simulated payments with frauds of three kinds, and nothing copied from real people.

Owns the rules of the generator. The rules are those of the simulator in the Fraud
Detection Handbook (Le Borgne, Siblini, Lebichot, Bontempi, 2022), drawn by numpy for
all customers at once. Writes no files: `training.simulation_files` does.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulation_plan import DAY_MS, SIDE, SimulationPlan

__all__ = ["Scenario", "Simulation", "SimulationPlan", "simulate"]

#: Payments happen around noon: mean and standard deviation of the second of the day.
_NOON_SECONDS, _SPREAD_SECONDS = 43_200.0, 20_000.0

#: Customers whose distances to all terminals are computed at once (80 MB at 10,000).
_CUSTOMERS_AT_ONCE = 1_000

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


class Scenario(enum.IntEnum):
    """Why a payment is fraudulent; where several apply, the last one is kept."""

    GENUINE = 0
    LARGE_AMOUNT = 1
    TERMINAL = 2
    CUSTOMER = 3


@dataclass(frozen=True, slots=True)
class Simulation:
    """Payments in order of time; a payment's id is its row.

    Attributes
    ----------
    event_time_ms
        (n,) int64, whole seconds, never decreasing.
    customer, terminal
        (n,) int64, numbered from 0.
    amount_cents
        (n,) int64.
    scenario
        (n,) int8, values of `Scenario`: the truth.
    label_delay_ms
        How long after the payment a fraud is confirmed.
    """

    event_time_ms: Integers
    customer: Integers
    terminal: Integers
    amount_cents: Integers
    scenario: NDArray[np.int8]
    label_delay_ms: int

    def __len__(self) -> int:
        return len(self.event_time_ms)

    @property
    def fraud(self) -> NDArray[np.bool_]:
        """(n,) bool: whether the payment is fraudulent."""
        return np.not_equal(self.scenario, Scenario.GENUINE)

    @property
    def label_time_ms(self) -> Integers:
        """(n,) int64: when a fraud is confirmed; nobody confirms a genuine payment."""
        return self.event_time_ms + self.label_delay_ms


@dataclass(slots=True)
class _Payments:
    """Payments in the making; amounts are rounded at the end."""

    day: Integers
    second: Integers
    customer: Integers
    terminal: Integers
    amount: Floats
    scenario: NDArray[np.int8]


def simulate(plan: SimulationPlan) -> Simulation:
    """Draw the payments of a plan: the same plan gives the same payments.

    Examples
    --------
    >>> small = simulate(SimulationPlan(customers=50, terminals=100, days=7))
    >>> int(small.customer.max()) < 50, bool((small.amount_cents >= 0).all())
    (True, True)
    """
    people, places, spending, terminal_fraud, customer_fraud = _chances(plan)
    customer_positions = people.uniform(0, SIDE, (plan.customers, 2))
    terminal_positions = places.uniform(0, SIDE, (plan.terminals, 2))
    reachable = _Reachable(customer_positions, terminal_positions, plan.reach)
    payments = _spend(plan, reachable, people, spending)
    large = np.round(payments.amount, 2) > plan.fraud_amount
    payments.scenario[large] = Scenario.LARGE_AMOUNT
    _compromise_terminals(payments, plan, terminal_fraud)
    _compromise_customers(payments, plan, customer_fraud)
    return _finished(payments, plan)


def _chances(plan: SimulationPlan) -> list[np.random.Generator]:
    """Who lives where is decided by the seed, what they do by the stretch too."""
    seeds = np.random.SeedSequence(plan.seed).spawn(5)
    if plan.stretch:
        seeds[2:] = np.random.SeedSequence((plan.seed, plan.stretch)).spawn(3)
    return [np.random.default_rng(seed) for seed in seeds]


class _Reachable:
    """The terminals within each customer's reach; the nearest one if there are none."""

    def __init__(self, customers: Floats, terminals: Floats, radius: float) -> None:
        blocks = [
            _terminals_in_reach(
                customers[i : i + _CUSTOMERS_AT_ONCE], terminals, radius
            )
            for i in range(0, len(customers), _CUSTOMERS_AT_ONCE)
        ]
        self.counts = np.concatenate([counts for counts, _ in blocks])
        self._terminals: Integers = np.concatenate(
            [terminals for _, terminals in blocks]
        )
        self._starts = np.cumsum(self.counts) - self.counts

    def draw(self, customer: Integers, rng: np.random.Generator) -> Integers:
        """Choose, for each payment, one of its customer's terminals."""
        chosen = rng.integers(0, self.counts[customer])
        picked: Integers = self._terminals[self._starts[customer] + chosen]
        return picked


def _terminals_in_reach(
    customers: Floats, terminals: Floats, radius: float
) -> tuple[Integers, Integers]:
    """How many terminals each customer reaches, and which, customer by customer."""
    x = customers[:, :1] - terminals[:, 0]
    y = customers[:, 1:] - terminals[:, 1]
    squares = x * x + y * y
    within = squares < radius * radius
    lonely = np.flatnonzero(~within.any(axis=1))
    within[lonely, squares[lonely].argmin(axis=1)] = True
    _, terminal = np.nonzero(within)
    return within.sum(axis=1, dtype=np.int64), terminal.astype(np.int64)


def _spend(
    plan: SimulationPlan,
    reachable: _Reachable,
    people: np.random.Generator,
    spending: np.random.Generator,
) -> _Payments:
    """Genuine payments: a Poisson number a day, around noon, around a usual amount."""
    usual_amounts = people.uniform(5, 100, plan.customers)
    daily_rates = people.uniform(0, 4, plan.customers)
    counts = spending.poisson(daily_rates[:, None], (plan.customers, plan.days))
    customer = np.repeat(np.arange(plan.customers), counts.sum(axis=1))
    days = np.tile(np.arange(plan.days), plan.customers)
    day = np.repeat(days, counts.ravel())
    second = spending.normal(_NOON_SECONDS, _SPREAD_SECONDS, len(day)).astype(np.int64)
    kept = (second > 0) & (second < DAY_MS // 1_000)
    customer, day, second = customer[kept], day[kept], second[kept]
    return _Payments(
        day=day,
        second=second,
        customer=customer,
        terminal=reachable.draw(customer, spending),
        amount=_amounts(usual_amounts[customer], spending),
        scenario=np.zeros(len(day), np.int8),
    )


def _amounts(usual: Floats, rng: np.random.Generator) -> Floats:
    amounts = rng.normal(usual, usual / 2)
    negative = amounts < 0
    amounts[negative] = rng.uniform(0, 2 * usual[negative])
    return amounts


def _compromise_terminals(
    payments: _Payments, plan: SimulationPlan, rng: np.random.Generator
) -> None:
    """Mark all payments at terminals that skimmers hold for some weeks."""
    rows_of = _Groups(payments.terminal, plan.terminals)
    for day, count in enumerate(_daily_counts(plan.terminals_per_day, plan.days)):
        for terminal in rng.choice(plan.terminals, count, replace=False):
            rows = rows_of.rows(terminal)
            age = payments.day[rows] - day
            held = rows[(age >= 0) & (age < plan.fraud_terminal_days)]
            payments.scenario[held] = Scenario.TERMINAL


def _compromise_customers(
    payments: _Payments, plan: SimulationPlan, rng: np.random.Generator
) -> None:
    """Multiply the amount of a third of the payments made with stolen credentials."""
    rows_of = _Groups(payments.customer, plan.customers)
    for day, count in enumerate(_daily_counts(plan.customers_per_day, plan.days)):
        if count == 0:
            continue
        customers = rng.choice(plan.customers, count, replace=False)
        rows = np.concatenate([rows_of.rows(customer) for customer in customers])
        age = payments.day[rows] - day
        exposed = rows[(age >= 0) & (age < plan.fraud_customer_days)]
        stolen = rng.choice(exposed, len(exposed) // 3, replace=False)
        payments.amount[stolen] *= plan.fraud_factor
        payments.scenario[stolen] = Scenario.CUSTOMER


class _Groups:
    """The rows of each value of a column."""

    def __init__(self, values: Integers, size: int) -> None:
        self._order = np.argsort(values, kind="stable")
        self._ends = np.cumsum(np.bincount(values, minlength=size))

    def rows(self, value: int) -> Integers:
        start = self._ends[value - 1] if value else 0
        return self._order[start : self._ends[value]]


def _daily_counts(mean: float, days: int) -> list[int]:
    """How many to compromise each day: whole numbers that add up to the mean."""
    totals = np.floor(np.arange(days + 1) * mean + 1e-9)
    return [int(count) for count in np.diff(totals)]


def _finished(payments: _Payments, plan: SimulationPlan) -> Simulation:
    """Sort by time and round to cents.

    Amounts are rounded after the factor: amounts that are multiples of five cents
    would tell frauds from genuine payments, which no real fraud does.
    """
    seconds = payments.day * (DAY_MS // 1_000) + payments.second
    order = np.argsort(seconds, kind="stable")
    return Simulation(
        event_time_ms=plan.start_ms + seconds[order] * 1_000,
        customer=payments.customer[order],
        terminal=payments.terminal[order],
        amount_cents=np.round(payments.amount[order] * 100).astype(np.int64),
        scenario=payments.scenario[order],
        label_delay_ms=plan.label_delay_ms,
    )
