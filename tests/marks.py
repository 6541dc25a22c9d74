"""Payments of which every value is found again, wherever it leaks."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from typing import Any

#: Stands in every name of the payments, and nowhere else.
MARK = "q7zx"

#: A marked name, or an amount that no figure of the worker's could be: those beside a
#: payment's own are whole, or longer.
_MARKED = re.compile(rf"[a-z]*-?{MARK}-?\w*|\b9417\d\d\.(?!0\b)\d{{1,2}}\b")


def customer(number: int) -> str:
    """Return a customer's id."""
    return f"c-{MARK}-{number}"


def marked_payment(
    chance: random.Random, number: int, event_time: int | str
) -> dict[str, Any]:
    """Return the fields of a payment; every second one has a marked amount."""
    return {
        "transaction_id": f"t-{MARK}-{number}",
        "event_time": event_time,
        "customer_id": customer(chance.randrange(200)),
        "terminal_id": f"m-{MARK}-{chance.randrange(1000)}",
        "amount": _amount(chance, is_marked=number % 2 == 0),
    }


def _amount(chance: random.Random, *, is_marked: bool) -> float:
    if is_marked:
        return 941_700 + chance.randrange(100) + chance.randrange(1, 100) / 100
    return chance.randrange(100, 30_000) / 100


def leaks_in(told: Mapping[str, Iterable[str]]) -> list[str]:
    """Return what of a payment stands where none belongs, with its place."""
    return [
        f"{place}: {found.group()}"
        for place, lines in told.items()
        for line in lines
        for found in _MARKED.finditer(line)
    ]
