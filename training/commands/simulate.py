"""fraud-train simulate."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from pathlib import Path

from training.commands.arguments import Subparsers, add_command, duration_ms
from worker.errors import ExitCode

_TEXT = """
Writes DIR/transactions and DIR/labels. Frauds are of three kinds: amounts above a
limit, everything at a compromised terminal, and some payments of a customer whose
credentials were stolen, with larger amounts. The same arguments give the same files.

examples:
  fraud-train simulate --out data
      1.8 million payments in six months, as large as the Handbook's data
  fraud-train simulate --out data --customers 500 --terminals 1000 --days 60
  fraud-train simulate --out data --format jsonl --seed 7 --label-delay 3d
"""

#: Flag, type, the plan's attribute, and what it means.
_SIZES = (
    ("--customers", int, "customers", "number of customers"),
    ("--terminals", int, "terminals", "number of terminals"),
    ("--days", int, "days", "number of days"),
    ("--start", dt.date.fromisoformat, "start", "first day, as 2018-04-01"),
    ("--seed", int, "seed", "what to draw: another number, other payments"),
    ("--radius", float, "radius", "how far customers go, on a square of 100"),
    ("--label-delay", duration_ms, "label_delay_ms", "until a fraud is confirmed"),
)
_FRAUDS = (
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
    for title, flags in (("size", _SIZES), ("frauds", _FRAUDS)):
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
    from training.simulation_plan import DAY_MS, SimulationPlan

    value = getattr(SimulationPlan(), name)
    if name == "label_delay_ms":
        value = f"{value // DAY_MS}d"
    return (
        " (default: 78 terminals in reach)" if value is None else f" (default: {value})"
    )


def run(args: argparse.Namespace) -> int:
    """Simulate and write."""
    from training.progress import shown
    from training.simulate import SimulationPlan, simulate
    from training.simulation_files import describe, write_simulation

    names = [name for _, _, name, _ in (*_SIZES, *_FRAUDS)]
    given = {n: getattr(args, n) for n in names if getattr(args, n) is not None}
    plan = SimulationPlan(**given)
    with shown("drawing payments"):
        simulation = simulate(plan)
    with shown(f"writing {args.format}"):
        paths = write_simulation(simulation, args.out, file_format=args.format)
    print(describe(simulation), file=sys.stderr)
    print(*paths, sep="\n")
    return ExitCode.OK
