"""fraud-train fit."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from training.commands.arguments import (
    Subparsers,
    add_command,
    add_protocol,
    add_spec,
    add_transactions,
)
from worker.errors import ExitCode

if TYPE_CHECKING:
    from training.fit import Prepared
    from training.report import ReportFacts

_TEXT = """
Reports on the data, fits on a window of time, evaluates on the days after the label
delay, chooses the threshold of an alert budget, and writes the model as a bundle:
DIR/VERSION. The bundle's model is the evaluated one; it is not fitted again on more.
Its report.html and card.md show how good the model is and why, for which it is fitted
again on earlier weeks and without groups of features; that takes most of the time.
Publish the bundle to put it in use.

examples:
  fraud-train fit --spec book --transactions data/transactions.parquet \\
      --labels data/labels.parquet --out models
  fraud-train fit --spec customer --transactions payments.parquet \\
      --labels payments.parquet --out models --train-until 2018-07-31 --train-days 28
  fraud-train fit --spec book --transactions t.jsonl.gz --labels l.jsonl --out models \\
      --model logistic --alert-budget 50 --label-delay 3d --version candidate
"""


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "fit",
        run,
        summary="fit a model, evaluate it, and write it as a bundle",
        text=_TEXT,
    )
    add_spec(parser)
    add_transactions(parser)
    add_protocol(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="directory of the bundles; made if it does not exist",
    )
    parser.add_argument(
        "--version",
        metavar="V",
        help="name of the bundle (default: last day of training and a number)",
    )


def run(args: argparse.Namespace) -> int:
    """Read, fit, evaluate, write the bundle."""
    from training.commands.inputs import (
        fit_plan,
        prepare_windows,
        read_history,
        read_spec,
    )
    from training.fit import fit
    from training.handbook import one_week
    from training.models import feature_notices
    from training.progress import shown
    from training.report import earlier_windows, gather_facts
    from training.results import fit_lines
    from training.split import Windows, latest_until_ms

    spec, plan = read_spec(args.spec), fit_plan(args)
    events, history, labels = read_history(args, spec)
    until_ms = args.train_until
    if until_ms is None:
        until_ms = latest_until_ms(history, plan.lengths)
    windows = Windows.ending(until_ms, plan.lengths)
    earlier = earlier_windows(history, windows, plan)
    data = prepare_windows(spec, events, history, [*earlier, windows])
    data = data.as_learnt_in(windows)
    with shown(f"fitting {plan.kind}"):
        done = fit(data, windows, plan)
    notices = feature_notices(plan.kind, spec, data.X[done.train])
    print(*(f"  notice: {each}\n" for each in notices), sep="", end="", file=sys.stderr)
    print(*fit_lines(done, one_week(history, windows)), sep="\n")
    measure = partial(gather_facts, data.learnt, data, done, plan, earlier=earlier)
    with shown("measuring for the report", unit="fits") as progress:
        facts = measure(history=history, labels=labels, progress=progress)
    path = _write_bundle(args, data, facts)
    print(f"bundle {path}")
    print(
        f"to put it in use: fraud-train publish {path.name} --models {args.out}",
        file=sys.stderr,
    )
    return ExitCode.OK


def _write_bundle(args: argparse.Namespace, data: Prepared, facts: ReportFacts) -> Path:
    from training.progress import shown
    from training.publish import make_bundle
    from training.reference import measure_reference
    from worker.bundle import DataWindow

    args.out.mkdir(parents=True, exist_ok=True)
    done = facts.done
    times = data.events.event_time_ms[done.train]
    # Labels come long after their transactions.
    uses_labels = facts.spec.uses_labels
    shown_rows = slice(done.train.stop) if uses_labels else done.train
    with shown("writing the bundle"):
        return make_bundle(
            models_dir=args.out,
            version=args.version or _free_version(args.out, done.windows.until_ms),
            spec=facts.spec,
            model=done.model,
            records=data.events.take(shown_rows),
            history=data.history.take(shown_rows) if uses_labels else None,
            threshold=done.alerts.threshold,
            metrics=done.figures(),
            data_window=DataWindow(
                first_ms=int(times[0]),
                last_ms=int(times[-1]),
                rows=done.train_rows,
                frauds=done.train_frauds,
            ),
            facts=facts,
            reference=measure_reference(facts.spec, data, done, facts.scores),
        )


def _free_version(models: Path, until_ms: int) -> str:
    """Return the last day of training, and the first number that is free."""
    from training.split import last_day

    day, number = last_day(until_ms), 1
    while (models / f"{day}.{number}").exists():
        number += 1
    return f"{day}.{number}"
