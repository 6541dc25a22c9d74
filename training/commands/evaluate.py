"""fraud-train evaluate."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from training.commands.arguments import (
    Subparsers,
    add_command,
    add_protocol,
    add_spec,
    add_transactions,
)
from worker.errors import ExitCode

_TEXT = """
Week after week, fits a model on what was known and evaluates it on what came after the
label delay: customers known as victims by then are left out, and an investigator
checks 100 cards a day. Writes no model. --train-until is the end of the first training
window. Beside the Fraud Detection Handbook's own data and weeks stand its published
figures. Warns where results are too good to be true.
Exits 1 where the mean misses --minimum-average-precision.

examples:
  fraud-train evaluate --spec customer --transactions data/transactions.parquet \\
      --labels data/labels.parquet --weeks 8
  fraud-train evaluate --spec customer --transactions payments.parquet \\
      --labels payments.parquet --train-until 2018-07-31 --weeks 4 \\
      --minimum-average-precision 0.2 --out evaluation.json
"""


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "evaluate",
        run,
        summary="fit and evaluate on consecutive weeks",
        text=_TEXT,
    )
    add_spec(parser)
    add_transactions(parser)
    add_protocol(parser)
    parser.add_argument(
        "--weeks",
        type=int,
        default=4,
        metavar="N",
        help="evaluations, each of --test-days (default: 4)",
    )
    parser.add_argument(
        "--minimum-average-precision",
        type=float,
        metavar="P",
        help="fail where the mean average precision is below",
    )

    parser.add_argument(
        "--json", action="store_true", help="print JSON in place of the table"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write the same JSON to a file"
    )


def run(args: argparse.Namespace) -> int:
    """Read, fit and evaluate week by week, print, and judge."""
    from training.commands.inputs import (
        fit_plan,
        prepare_windows,
        read_history,
        read_spec,
    )
    from training.evaluate import evaluate, mean_ranking, week_windows
    from training.handbook import four_weeks
    from training.leakage import leak_warnings
    from training.progress import shown
    from training.results import week_facts, week_lines

    spec, plan = read_spec(args.spec), fit_plan(args)
    events, history, _ = read_history(args, spec)
    windows = week_windows(history, plan, weeks=args.weeks, until_ms=args.train_until)
    data = prepare_windows(spec, events, history, windows)
    with shown(f"fitting {plan.kind}", unit="weeks") as progress:
        weeks = list(evaluate(data, windows, plan, progress=progress))
    published = four_weeks(history, windows)
    warnings = list(leak_warnings(weeks, data, history, spec.feature_names))
    facts = {"spec": spec.name, **week_facts(weeks, published), "warnings": warnings}
    document = json.dumps(facts, indent=2)
    if args.out is not None:
        args.out.write_text(f"{document}\n")
    print(*([document] if args.json else week_lines(weeks, published)), sep="\n")
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    mean, _ = mean_ranking([week.ranking for week in weeks])
    return judge(mean.average_precision, args.minimum_average_precision)


def judge(reached: float, minimum: float | None) -> int:
    """Return the exit code of a gate, and say why it is shut."""
    if minimum is None or reached >= minimum:
        return ExitCode.OK
    print(
        f"mean average precision {reached:.4f} is below the minimum of {minimum:g}",
        file=sys.stderr,
    )
    return ExitCode.CRASHED
