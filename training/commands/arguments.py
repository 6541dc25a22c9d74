"""Arguments that several commands share, and their types.

Imports nothing heavy: `--help` answers at once.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

Parser: TypeAlias = argparse.ArgumentParser
#: argparse has no public name for what `add_subparsers` returns.
Subparsers: TypeAlias = "argparse._SubParsersAction[Parser]"  # noqa: SLF001
Group: TypeAlias = "argparse._ArgumentGroup"  # noqa: SLF001
Run: TypeAlias = Callable[[argparse.Namespace], int]

#: Formats that history is read from.
FILES = "Parquet, CSV or JSON lines (.parquet .csv .jsonl, the last two also .gz)"


def add_command(
    subparsers: Subparsers, name: str, run: Run, *, summary: str, text: str
) -> Parser:
    """Add a command; the text below its options is printed as it stands."""
    parser = subparsers.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=textwrap.dedent(text).strip("\n"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_spec(parser: Parser) -> None:
    """Add --spec."""
    parser.add_argument(
        "--spec",
        required=True,
        metavar="S",
        help="spec of fields and features: a TOML file, or one that ships with this "
        "package: `book`, `customer`, `cards` or `handbook`",
    )


def add_transactions(parser: Parser) -> None:
    """Add --transactions and --column."""
    parser.add_argument(
        "--transactions", type=Path, required=True, metavar="F", help=FILES
    )
    parser.add_argument(
        "--column",
        type=pair,
        action="append",
        default=[],
        metavar="FIELD=NAME",
        help="the file's name for a field, where it differs; may be repeated",
    )


def add_protocol(parser: Parser) -> None:
    """Add --labels, the model, and how history is split and evaluated."""
    add_labels(parser, required=True)
    _add_model(parser.add_argument_group("model"))
    _add_windows(parser.add_argument_group("evaluation"))


def add_labels(parser: Parser, *, required: bool) -> None:
    """Add --labels."""
    parser.add_argument(
        "--labels",
        type=Path,
        required=required,
        metavar="F",
        help="file with the transaction's id, `fraud` and perhaps `label_time`; "
        "may be the same file",
    )


def add_label_delay(parser: Parser | Group, purpose: str) -> None:
    """Add --label-delay."""
    parser.add_argument(
        "--label-delay",
        type=duration_ms,
        default="7d",
        metavar="D",
        help=f"how long a fraud takes to be confirmed{purpose} (default: %(default)s)",
    )


def _add_model(group: Group) -> None:
    group.add_argument(
        "--model",
        choices=["hgb", "logistic", "random-forest"],
        default="hgb",
        help="(default: %(default)s, gradient-boosted trees)",
    )
    group.add_argument(
        "--seed", type=int, default=0, metavar="N", help="(default: %(default)s)"
    )
    group.add_argument(
        "--alert-budget",
        type=int,
        default=100,
        metavar="N",
        help="flagged transactions a day that people can look at; decides the "
        "threshold (default: %(default)s)",
    )


def _add_windows(group: Group) -> None:
    group.add_argument(
        "--train-until",
        type=until_ms,
        metavar="T",
        help="last day of training, or the instant before which it ends (default: as "
        "late as the data allow)",
    )
    for flag, days in (("--train-days", 7), ("--test-days", 7)):
        group.add_argument(
            flag, type=int, default=days, metavar="N", help="(default: %(default)s)"
        )
    add_label_delay(group, ": the gap between training and evaluation")


def add_models(parser: Parser) -> None:
    """Add --models."""
    parser.add_argument(
        "--models",
        type=Path,
        default=Path("models"),
        metavar="DIR",
        help="directory of the bundles (default: models)",
    )


def pair(text: str) -> tuple[str, str]:
    """Read FIELD=NAME."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=NAME")
    return name, value


def duration_ms(text: str) -> int:
    """Read a duration such as 7d, in milliseconds."""
    from worker.features.durations import parse_duration_ms

    try:
        return parse_duration_ms(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def until_ms(text: str) -> int:
    """Read a date, which is included, or an instant, which is not."""
    from training.split import parse_until_ms

    try:
        return parse_until_ms(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
