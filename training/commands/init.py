"""fraud-train init."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from training.commands.arguments import FILES, Subparsers, add_command
from worker.errors import ExitCode, InvalidConfig

_TEXT = """
Looks at the first rows of a file and drafts a spec for it: which column is the id of a
transaction, its time, whose history is remembered, the amount and its decimals, the
label; categories, coordinates, a date of birth. Writes TOML that can be used at once,
and says what was guessed, why, and what you should check. The label becomes no field.

examples:
  fraud-train init payments.csv
  fraud-train init payments.parquet --entity account --label chargeback --out my.toml
"""


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "init",
        run,
        summary="draft a spec from a file of transactions",
        text=_TEXT,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help=FILES)
    for flag, meaning in (
        ("--transaction-id", "column that tells transactions apart"),
        ("--event-time", "column of the time at which each happened"),
        ("--entity", "column of whose history is remembered"),
        ("--label", "column that says whether it was a fraud"),
    ):
        parser.add_argument(flag, metavar="NAME", help=f"{meaning} (default: a guess)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="SPEC",
        help="TOML file to write (default: the file's name, in this directory)",
    )


def run(args: argparse.Namespace) -> int:
    """Look, guess, write, and tell."""
    from training.draft import Wishes, draft_toml, guess_roles, read_sample
    from training.draft.profile import profiles
    from training.draft.report import next_command, report_lines
    from training.progress import shown
    from worker.features import Spec

    name = args.file.name.split(".")[0]
    out: Path = args.out or Path(f"{name}.toml")
    if out.exists():
        raise InvalidConfig([f"{out} exists: remove it, or write another: --out SPEC"])
    with shown(f"reading {args.file}"):
        sample = read_sample(args.file)
        columns = profiles(sample)
    wishes = Wishes(args.transaction_id, args.event_time, args.entity, args.label)
    roles = guess_roles(columns, wishes)
    text = draft_toml(
        roles, name=name, file=args.file.name, is_json=sample.kind == "jsonl"
    )
    Spec.from_toml(text)
    out.write_text(text, encoding="utf-8")
    print(*report_lines(sample, roles), sep="\n", file=sys.stderr)
    print(f"next: {next_command(sample, roles, out)}", file=sys.stderr)
    print(out)
    return ExitCode.OK
