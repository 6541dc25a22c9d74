"""fraud-train: the command line of the offline half.

Parses and dispatches; the commands live in `training.commands`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from training.commands import (
    compare,
    evaluate,
    featurize,
    fit,
    init,
    publish,
    simulate,
)
from worker.errors import ExitCode, Fatal

_TEXT = """\
from nothing to a model in use:
  fraud-train simulate --out data
  fraud-train fit --spec customer --transactions data/transactions.parquet \\
      --labels data/labels.parquet --out models --version first
  fraud-train publish first --models models

Results go to standard output, reports and progress to standard error.

exit codes:
  0  done
  1  a comparison or a gate says no, or a crash
  2  arguments, a spec or data are wrong; every problem is listed
  3  a bundle cannot be trusted or used
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="fraud-train",
        description="Simulate payments, compute features, fit and publish models.",
        epilog=_TEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in (simulate, init, featurize, fit, evaluate, compare, publish):
        command.add(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    What is wrong with the input ends in a message; only our own mistakes end in a
    traceback.
    """
    args = build_parser().parse_args(argv)
    try:
        return int(args.run(args))
    except Fatal as error:
        print(f"fraud-train {args.command}: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # a path that cannot be read or written, a full disk
        print(f"fraud-train {args.command}: {error}", file=sys.stderr)
        return ExitCode.CONFIG
    except KeyboardInterrupt:
        return 128 + 2  # what a shell reports for SIGINT


if __name__ == "__main__":
    sys.exit(main())
