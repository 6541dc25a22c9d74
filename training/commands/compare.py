"""fraud-train compare."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from training.commands.arguments import (
    Subparsers,
    add_command,
    add_label_delay,
    add_labels,
    add_transactions,
)
from worker.errors import ExitCode, InvalidConfig

if TYPE_CHECKING:
    from training.compare import Comparison
    from worker.scoring import LoadedModel

_TEXT = """
Scores the same transactions with two bundles. Exits 0 where nobody who reads the scores
could tell them apart: shared features equal to the last bit, scores within the
tolerance, the same transactions flagged. Exits 1 otherwise. Models that look at labels
need --labels.

examples:
  fraud-train compare models/2018-07-31.1 models/2018-08-07.1 \\
      --transactions data/transactions.parquet
  fraud-train compare models/before models/after --transactions sample.jsonl \\
      --tolerance 1e-9
"""


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "compare",
        run,
        summary="tell whether two models give the same answers",
        text=_TEXT,
    )
    parser.add_argument("first", type=Path, metavar="A", help="directory of a bundle")
    parser.add_argument("second", type=Path, metavar="B", help="directory of another")
    add_transactions(parser)
    add_labels(parser, required=False)
    add_label_delay(parser, ", at least")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.0,
        metavar="D",
        help="largest difference of two scores that counts as none (default: 0)",
    )


def run(args: argparse.Namespace) -> int:
    """Load both, score, print, and judge."""
    from training.commands.inputs import read_perhaps_labelled
    from training.compare import compare
    from training.progress import shown

    first, second = _load(args.first), _load(args.second)
    if first.spec.schema != second.spec.schema:
        problem = f"{args.first} and {args.second} read different fields"
        raise InvalidConfig([problem], subject="comparison")
    events, history = read_perhaps_labelled(args, first.spec)
    with shown("computing features") as progress:
        found = compare(first, second, events, history=history, progress=progress)
    print(*comparison_lines(found, first.version, second.version), sep="\n")
    if found.is_equivalent(args.tolerance):
        print("equivalent")
        return ExitCode.OK
    print("different")
    return ExitCode.CRASHED


def _load(directory: Path) -> LoadedModel:
    from worker.bundle import read_bundle
    from worker.scoring import load_model

    resolved = directory.resolve()
    return load_model(read_bundle(resolved.parent, resolved.name))


def comparison_lines(found: Comparison, first: str, second: str) -> list[str]:
    """Return what differs, as people read it."""
    different = [
        f"  {name}: differs in {count:,} rows"
        for name, count in found.different_features.items()
    ]
    return [
        f"{found.rows:,} transactions, {first} against {second}",
        f"features in both: {len(found.shared)}, different: {len(different)}",
        *different,
        f"features only in {first}: {', '.join(found.only_first) or 'none'}",
        f"features only in {second}: {', '.join(found.only_second) or 'none'}",
        f"scores: largest difference {found.largest_difference:.9f}",
        f"scores: mean difference {found.mean_difference:.9f}",
        f"flagged by {first}: {found.flagged_first:,}",
        f"flagged by {second}: {found.flagged_second:,}",
        f"flagged by one only: {found.different_decisions:,}",
    ]
