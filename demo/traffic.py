"""What the demo sends: simulated payments, and labels of those that are frauds.

Simulated weeks of history fill the windows; then the clock of the simulation runs so
fast that the demo covers some thirty days more. A label is sent when that clock reaches
the time at which it became known. Event times lie in the past, never ahead of the
records that carry them; a worker takes its time from nothing else.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import orjson

from demo.live import EVENT_TIME, LABEL_TIME

#: As long as the longest window of the shipped model, and the delay of its labels.
HISTORY_DAYS = 30 + 7

#: About so many days pass while the demo is looked at.
_LIVE_DAYS = 30

#: Payments of a customer on a mean day, by the rules of the simulation.
_DAILY_PAYMENTS = 1.92

#: Customers: enough for variety, few enough for a history that is scored in seconds.
_FEWEST_CUSTOMERS, _MOST_CUSTOMERS = 200, 2_000

#: How many more payments are simulated than a mean draw needs.
_MARGIN = 1.15


@dataclass(frozen=True, slots=True)
class TrafficPlan:
    """How much to simulate for so many seconds at so many records a second."""

    seconds: float
    rate: float
    seed: int
    today: dt.date

    @property
    def customers(self) -> int:
        """As many as make the live payments cover about a month."""
        wanted = self.seconds * self.rate / (_DAILY_PAYMENTS * _LIVE_DAYS)
        return min(max(round(wanted), _FEWEST_CUSTOMERS), _MOST_CUSTOMERS)

    @property
    def live_days(self) -> int:
        """Simulated days that are enough for the live payments."""
        needed = self.seconds * self.rate * _MARGIN
        return math.ceil(needed / (_DAILY_PAYMENTS * self.customers)) + 1

    @property
    def description(self) -> str:
        """What is simulated, in a line."""
        hours = 24 * self.rate / (_DAILY_PAYMENTS * self.customers)
        then = f"then {hours:.0f} hours in each second"
        return f"{self.customers:,} customers, {HISTORY_DAYS} days of history; {then}"

    @property
    def start(self) -> dt.date:
        """The first day, such that the last is over."""
        return self.today - dt.timedelta(days=HISTORY_DAYS + self.live_days)

    def arguments(self, directory: Path) -> list[str]:
        """Return those of `fraud-train simulate`."""
        numbers = {
            "customers": self.customers,
            "terminals": 2 * self.customers,
            "days": HISTORY_DAYS + self.live_days,
            "start": self.start.isoformat(),
            "seed": self.seed,
            "format": "jsonl",
            "out": directory,
        }
        return ["simulate", *(f"--{name}={value}" for name, value in numbers.items())]


class Part(NamedTuple):
    """Files of payments and of labels that are sent one after the other, in time."""

    payments: Path
    labels: Path


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is to be sent, and the truth about it.

    Attributes
    ----------
    history_count
        Payments of the history.
    frauds
        Ids of the fraudulent payments.
    """

    history: Part
    live: Part
    history_count: int
    frauds: frozenset[str]


def read_traffic(plan: TrafficPlan, directory: Path) -> Traffic:
    """Part what was simulated into the history and what will be live.

    A payment goes by the time at which it happened, a label by the one at which it
    became known.
    """
    history, live = (
        Part(directory / f"{part}.jsonl", directory / f"{part}-labels.jsonl")
        for part in ("history", "live")
    )
    payments, labels = directory / "transactions.jsonl", directory / "labels.jsonl"
    first_live = plan.start + dt.timedelta(days=HISTORY_DAYS)
    boundary = f"{first_live.isoformat()}T"
    count = _part(payments, history.payments, live.payments, EVENT_TIME, boundary)
    _part(labels, history.labels, live.labels, LABEL_TIME, boundary)
    return Traffic(history, live, count, _frauds(labels))


def _part(source: Path, history: Path, live: Path, field: str, boundary: str) -> int:
    """Write what is before the boundary to one file, the rest to another; count."""
    count = 0
    with source.open("rb") as lines, history.open("wb") as old, live.open("wb") as new:
        for line in lines:
            is_history = orjson.loads(line)[field] < boundary
            (old if is_history else new).write(line)
            count += is_history
    return count


def _frauds(labels: Path) -> frozenset[str]:
    with labels.open("rb") as lines:
        return frozenset(orjson.loads(line)["transaction_id"] for line in lines)
