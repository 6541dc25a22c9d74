"""Makes every fault strike real workers on a real Kafka, and audits what they said.

    make faults
    make faults ARGS="--only kill --only broker"

Under steady traffic, one payment in a hundred broken. A row passes if its fault really
struck, `fraud-worker verify` found nothing, and every record was answered once. The
seconds run from the fault until a reader of committed records has the next score of
each partition.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from demo.broker import kafka_available
from tests.benchmarks.machine import commit, machine, today
from tests.faults.catalogue import FAULTS
from tests.faults.fault import Fault, Row
from tests.faults.ground import Ground
from tests.faults.playing import play
from tests.faults.table import render


def main() -> int:
    """Play the faults; 0 if every row passed."""
    arguments = _parser().parse_args()
    if arguments.list:
        print("\n".join(f"{fault.name:14} {fault.title}" for fault in FAULTS))
        return 0
    if reason := kafka_available():
        print(reason, file=sys.stderr)
        return 1
    chosen = [f for f in FAULTS if not arguments.only or f.name in arguments.only]
    rows = _play_all(chosen, is_quick=arguments.quick)
    print(render(rows))
    _write(arguments.out, rows)
    return int(any(row.problems for row in rows))


def _play_all(faults: Sequence[Fault], *, is_quick: bool) -> list[Row]:
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="fraud-faults-") as directory,
        Ground(Path(directory)) as ground,
    ):
        for number, fault in enumerate(faults, 1):
            _say(f"{number} of {len(faults)}: {fault.title} ...")
            rounds = fault.quick_rounds if is_quick else fault.rounds
            row = play(fault, ground, rounds=rounds)
            rows.append(row)
            result = "FAILED" if row.problems else "passed"
            _say(f"  {result} after {row.took_seconds:.0f} s")
            for problem in row.problems:
                _say(f"  {problem}")
    return rows


def _write(path: Path, rows: Sequence[Row]) -> None:
    facts = {"machine": machine(), "commit": commit(), "date": today()}
    played = [asdict(row) | {"passed": not row.problems} for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**facts, "rows": played}, indent=2) + "\n")
    _say(f"written to {path}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make faults ARGS=...", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = [fault.name for fault in FAULTS]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME")
    parser.add_argument("--list", action="store_true", help="name them, and end")
    parser.add_argument("--quick", action="store_true", help="fewer strikes of each")
    parser.add_argument("--out", type=Path, default=Path("build/faults.json"))
    return parser


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
