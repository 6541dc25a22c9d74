"""fraud-train simulate."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from training.commands.arguments import Subparsers, add_command, duration_ms
from worker.errors import ExitCode, InvalidConfig

_TEXT = """
Writes DIR/transactions and DIR/labels. Frauds are of three kinds: amounts above a
limit, everything at a compromised terminal, and some payments of a customer whose
credentials were stolen, with larger amounts. The same arguments give the same files.
With --shape cards the payments have other fields: merchants with a category, the
coordinates of home and merchant, the holder's date of birth; and frauds of one kind,
stolen cards. The spec `cards` goes with them.

examples:
  fraud-train simulate --out data
      1.8 million payments in six months, as large as the Handbook's data
  fraud-train simulate --out data --customers 500 --terminals 1000 --days 60
  fraud-train simulate --out data --format jsonl --seed 7 --label-delay 3d
  fraud-train simulate --shape cards --out data --cards 500 --days 60
"""

#: Flag, type, the plan's attribute, and what it means.
_Flags: TypeAlias = tuple[tuple[str, Callable[[str], object], str, str], ...]
_BOTH: _Flags = (
    ("--days", int, "days", "number of days"),
    ("--start", dt.date.fromisoformat, "start", "first day, as 2018-04-01"),
    ("--seed", int, "seed", "what to draw: another number, other payments"),
    ("--label-delay", duration_ms, "label_delay_ms", "until a fraud is confirmed"),
)
_TERMINALS: _Flags = (
    ("--stretch", int, "stretch", "other payments of the same customers"),
    ("--customers", int, "customers", "number of customers"),
    ("--terminals", int, "terminals", "number of terminals"),
    ("--radius", float, "radius", "how far customers go, on a square of 100"),
    ("--fraud-amount", float, "fraud_amount", "larger payments are all frauds"),
    (
        "--fraud-terminal-rate",
        float,
        "fraud_terminal_rate",
        "share of the terminals compromised each day",
    ),
    ("--fraud-terminal-days", int, "fraud_terminal_days", "for how many days"),
    (
        "--fraud-customer-rate",
        float,
        "fraud_customer_rate",
        "share of the customers compromised each day",
    ),
    ("--fraud-customer-days", int, "fraud_customer_days", "for how many days"),
    ("--fraud-factor", float, "fraud_factor", "by which stolen amounts grow"),
)
_CARDS: _Flags = (
    ("--cards", int, "cards", "number of cards"),
    ("--merchants", int, "merchants", "number of merchants"),
    ("--fraud-card-rate", float, "fraud_card_rate", "share of the cards stolen a day"),
)


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "simulate",
        run,
        summary="write simulated payments and the labels of their frauds",
        text=_TEXT,
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--format",
        choices=["parquet", "jsonl", "csv"],
        default="parquet",
        help="(default: %(default)s)",
    )
    parser.add_argument(
        "--shape",
        choices=["terminals", "cards"],
        default="terminals",
        help="fields of the payments (default: %(default)s)",
    )
    for title, flags in (
        ("both shapes", _BOTH),
        ("shape terminals", _TERMINALS),
        ("shape cards", _CARDS),
    ):
        group = parser.add_argument_group(title)
        for flag, kind, name, meaning in flags:
            group.add_argument(
                flag,
                type=kind,
                dest=name,
                metavar="X",
                help=f"{meaning}{_default(name)}",
            )


def _default(name: str) -> str:
    from training.simulate_cards_plan import CardsPlan
    from training.simulation_plan import DAY_MS, SimulationPlan

    plans = (SimulationPlan(), CardsPlan())
    values = [getattr(plan, name) for plan in plans if hasattr(plan, name)]
    if name == "label_delay_ms":
        values = [f"{value // DAY_MS}d" for value in values]
    if values == [None]:
        return " (default: 78 terminals in reach)"
    return f" (default: {', or '.join(dict.fromkeys(map(str, values)))})"


def run(args: argparse.Namespace) -> int:
    """Simulate and write."""
    from training.progress import shown
    from training.simulate import SimulationPlan, simulate
    from training.simulate_cards import CardsPlan, simulate_cards
    from training.simulation_files import describe, write_simulation

    is_cards = args.shape == "cards"
    own, other = (_CARDS, _TERMINALS) if is_cards else (_TERMINALS, _CARDS)
    _refuse(args, other)
    names = [name for _, _, name, _ in (*_BOTH, *own)]
    given = {n: getattr(args, n) for n in names if getattr(args, n) is not None}
    with shown("drawing payments"):
        simulation = (
            simulate_cards(CardsPlan(**given))
            if is_cards
            else simulate(SimulationPlan(**given))
        )
    with shown(f"writing {args.format}"):
        paths = write_simulation(simulation, args.out, file_format=args.format)
    print(describe(simulation), file=sys.stderr)
    print(*paths, sep="\n")
    return ExitCode.OK


def _refuse(args: argparse.Namespace, flags: _Flags) -> None:
    """Refuse what says nothing about payments of this shape."""
    problems = [
        f"{flag} means nothing with --shape {args.shape}"
        for flag, _, name, _ in flags
        if getattr(args, name) is not None
    ]
    if problems:
        raise InvalidConfig(problems)
