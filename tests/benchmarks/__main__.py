"""Measures the worker on a real Kafka; one line of JSON for each figure.

    make bench
    make bench ARGS="--quick"
    make bench ARGS="--only crash --crashes 20"

The worker has a core of its own where there are several; broker, sender and reader
share the others. Latency runs from the scheduled time of a payment, sent whether or not
the worker keeps up, to the moment at which a reader of committed records holds its
score. Every trial with a broker has a fresh one, and ends with an audit of the whole
stream.

    drain     a full topic is scored; then another worker replays it in silence
    latency   payments at scheduled times
    crash     kill -9 at random moments, and the time to the next score
    snapshot  of a large state: how long each step stops the loop; then its restore
    memory    of a key, and of a live event
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from demo.broker import kafka_available
from tests.benchmarks.machine import commit, machine, today
from tests.benchmarks.stack import reserve_core
from tests.benchmarks.states import memory, snapshot
from tests.benchmarks.trials import Figures, crash, drain, latency
from tests.benchmarks.workload import Workload, make_workload

Trial = Callable[[Path], list[Figures]]

_KINDS = ("drain", "latency", "crash", "snapshot", "memory")

#: Measured once: these trials repeat what they measure by themselves.
_ONCE = {"crash", "snapshot", "memory"}

#: What `--quick` makes of the options that are not given.
_QUICK = {
    "runs": 1,
    "events": 200_000,
    "seconds": 8.0,
    "crashes": 2,
    "keys": 50_000,
}


def main() -> int:
    """Run every trial; return 0 if all of them could be made."""
    arguments = _arguments()
    if reason := kafka_available():
        print(reason, file=sys.stderr)
        return 1
    reserve_core()
    with tempfile.TemporaryDirectory(prefix="fraud-bench-") as name:
        directory = Path(name)
        _say("preparing payments and a model of 100 trees")
        workload = make_workload(directory, arguments.events)
        for kind, trial in _trials(workload, arguments).items():
            runs = 1 if kind in _ONCE else arguments.runs
            results: list[Figures] = []
            for run in range(runs):
                _say(f"{kind}, run {run + 1} of {runs}")
                results += trial(directory / f"{kind}-{run}")
            _print(results, workload)
    return 0


def _trials(workload: Workload, arguments: argparse.Namespace) -> dict[str, Trial]:
    rate, seconds = arguments.rate, arguments.seconds
    trials: dict[str, Trial] = {
        "drain": partial(drain, workload),
        "latency": partial(latency, workload, rate=rate, seconds=seconds),
        "crash": partial(crash, workload, crashes=arguments.crashes),
        "snapshot": partial(
            snapshot, keys=arguments.keys, per_key=arguments.events_per_key
        ),
        "memory": partial(memory, quick=arguments.quick),
    }
    return {kind: trials[kind] for kind in arguments.only or _KINDS}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--only", action="append", choices=_KINDS, help="may be repeated")
    add("--quick", action="store_true", help="small and once: to see that it works")
    add("--runs", type=int, default=3, help="of drain and latency")
    add("--events", type=int, default=400_000, help="payments there are")
    add("--rate", type=int, default=1000, help="payments a second for the latency")
    add("--seconds", type=float, default=20.0, help="how long they are sent")
    add("--crashes", type=int, default=8, help="how often the worker is killed")
    add("--keys", type=int, default=1_000_000, help="of the state that is snapshot")
    add("--events-per-key", type=int, default=60, help="live ones in it")
    if parser.parse_args().quick:
        parser.set_defaults(**_QUICK)
    return parser.parse_args()


def _print(results: list[Figures], workload: Workload) -> None:
    for figure in results[0]:
        runs = [round(result[figure], 3) for result in results]
        line = {
            "figure": figure,
            "median": statistics.median(runs),
            "least": min(runs),
            "greatest": max(runs),
            "runs": runs,
            "arguments": " ".join(sys.argv[1:]),
            "load": round(os.getloadavg()[0], 2),
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
