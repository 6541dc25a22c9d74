"""Measures the worker on a real Kafka; one line of JSON for each figure.

    make bench
    make bench ARGS="--runs 5 --events 1000000"

The worker has a core of its own where there are several; broker, sender and reader
share the others. Latency runs from the scheduled time of a payment, sent whether or not
the worker keeps up, to the moment at which a reader of committed records holds its
score. Every trial has a fresh broker and ends with an audit of the whole stream.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from demo.broker import kafka_available
from tests.benchmarks.machine import commit, machine, today
from tests.benchmarks.trials import Trial, drain, latency, reserve_core
from tests.benchmarks.workload import Workload, make_workload


def main() -> int:
    """Run every trial; return 0 if all of them could be made."""
    arguments = _parser().parse_args()
    if reason := kafka_available():
        print(reason, file=sys.stderr)
        return 1
    reserve_core()
    with tempfile.TemporaryDirectory(prefix="fraud-bench-") as name:
        directory = Path(name)
        _say("preparing payments and a model of 100 trees")
        workload = make_workload(directory, arguments.events)
        trials: dict[str, Callable[[Path], Trial]] = {
            "drain": lambda place: drain(workload, place),
            "latency": lambda place: latency(
                workload, place, arguments.rate, arguments.seconds
            ),
        }
        for kind, trial in trials.items():
            results = []
            for run in range(arguments.runs):
                _say(f"{kind}, run {run + 1} of {arguments.runs}")
                results.append(trial(directory / f"{kind}-{run}").figures)
            _print(results, workload)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20.0)
    return parser


def _print(results: list[dict[str, float]], workload: Workload) -> None:
    for figure in results[0]:
        runs = [round(result[figure], 3) for result in results]
        line = {
            "figure": figure,
            "median": statistics.median(runs),
            "least": min(runs),
            "greatest": max(runs),
            "runs": runs,
            "data": workload.source,
            "machine": machine(),
            "commit": commit(),
            "date": today(),
        }
        print(json.dumps(line), flush=True)


def _say(sentence: str) -> None:
    print(f"{sentence} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
