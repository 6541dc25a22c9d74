"""fraud-train featurize."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from training.commands.arguments import (
    Subparsers,
    add_command,
    add_label_delay,
    add_labels,
    add_spec,
    add_transactions,
)
from worker.errors import ExitCode

_TEXT = """
Writes transaction_id and one column for each feature of the spec, in order of event
time, computed by the same code that the worker runs on the stream. A missing value is
null. Rows that are no transaction by the spec are reported and left out. A spec that
looks at labels needs --labels, unless the transactions have a column `fraud`. A
model's vocabularies of categories are those of its training window: with
--spec models/VERSION/transform.toml they are used here too. A spec that has none yet
learns them from all rows.

examples:
  fraud-train featurize --spec customer --transactions data/transactions.parquet \\
      --out features.parquet
  fraud-train featurize --spec handbook --transactions data/transactions.parquet \\
      --labels data/labels.parquet --out features.parquet
  fraud-train featurize --spec my.toml --transactions payments.csv.gz \\
      --column event_time=tx_datetime --column amount=TX_AMOUNT --out features.parquet
"""


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "featurize",
        run,
        summary="write the features of a history, as the worker would compute them",
        text=_TEXT,
    )
    add_spec(parser)
    add_transactions(parser)
    add_labels(parser, required=False)
    add_label_delay(parser, ", at least")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="F", help="Parquet file to write"
    )


def run(args: argparse.Namespace) -> int:
    """Read, transform, write."""
    from training.commands.inputs import read_perhaps_labelled, read_spec
    from training.featurize import write_features
    from training.progress import shown
    from training.vocabularies import learn_vocabularies

    spec = read_spec(args.spec)
    events, history = read_perhaps_labelled(args, spec)
    if spec.unlearnt:
        names = ", ".join(feature.name for feature in spec.unlearnt)
        print(f"  notice: {names}: vocabulary learnt from all rows", file=sys.stderr)
        spec = learn_vocabularies(spec, events, slice(None))
    with shown("computing features") as progress:
        write_features(args.out, spec, events, history=history, progress=progress)
    count = len(spec.feature_names)
    print(f"{len(events):,} rows with {count} features", file=sys.stderr)
    print(args.out)
    return ExitCode.OK
