"""fraud-train evaluate."""

from __future__ import annotations

import argparse
import sys

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
label delay. Writes no model. --train-until is the end of the first training window.
Exits 1 where the mean misses --minimum-average-precision.

examples:
  fraud-train evaluate --spec customer --transactions data/transactions.parquet \\
      --labels data/labels.parquet --weeks 8
  fraud-train evaluate --spec customer --transactions payments.parquet \\
      --labels payments.parquet --train-until 2018-07-31 --weeks 4 \\
      --minimum-average-precision 0.2
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


def run(args: argparse.Namespace) -> int:
    """Read, fit and evaluate week by week, print, and judge."""
    from training.commands.inputs import (
        fit_plan,
        prepare_windows,
        read_history,
        read_spec,
    )
    from training.evaluate import evaluate, mean_ranking, week_windows
    from training.handbook import FOUR_WEEKS
    from training.progress import shown
    from training.results import week_lines

    spec, plan = read_spec(args.spec), fit_plan(args)
    events, history = read_history(args, spec)
    windows = week_windows(history, plan, weeks=args.weeks, until_ms=args.train_until)
    data = prepare_windows(spec, events, history, windows)
    with shown(f"fitting {plan.kind}", unit="weeks") as progress:
        weeks = list(evaluate(data, windows, plan, progress=progress))
    print(*week_lines(weeks, FOUR_WEEKS if args.handbook_figures else ()), sep="\n")
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
