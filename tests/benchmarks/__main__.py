"""Measures the worker on a real Kafka; one line of JSON for each figure.

    make bench
    make bench ARGS="--quick"
    make bench ARGS="--only crash --crashes 20"

The worker has a core of its own where there are several; broker, sender and reader
share the others, the broker with the JVM options of Kafka's own start script. Latency
runs from the scheduled time of a payment, sent whether or not the worker keeps up, to
the moment at which a reader of committed records holds its score; before, the broker is
warmed up for half a minute. Every trial with a broker has a fresh one, and ends with an
audit of the whole stream.

    drain           a full topic is scored; then another worker replays it in silence
    latency         payments at scheduled times, 1,000 a second
    floor           both, of a loop that only copies: what exactly-once takes at least
    fast            payments at scheduled times, 50,000 a second
    staged-drain    as drain, with two stages: customer, terminal and labels
    staged-latency  as latency, with two stages
    shipped-drain   as staged-drain, with the spec that is shipped
    overhead        a drain with monitoring and snapshots, and without
    workers         a drain by two workers on two cores, and by one
    crash           kill -9 at random moments, and the time to the next score
    snapshot        of a large state: how long each step stops the loop; its restore
    memory          of a key, and of a live event

Ends with a line for each target, also in build/bench/bench.json. Where nobody else used
the machine, a figure that misses its target by more than a third makes the exit code 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

from demo.broker import kafka_available
from tests.benchmarks.cores import reserved
from tests.benchmarks.drains import drain, scale
from tests.benchmarks.floor import floor
from tests.benchmarks.output import (
    Figures,
    Output,
    await_quiet,
    circumstances,
    say,
    write_json,
)
from tests.benchmarks.overhead import overhead
from tests.benchmarks.states import memory, snapshot
from tests.benchmarks.targets import judge, judgements
from tests.benchmarks.trials import crash, latency, warm_up_count
from tests.benchmarks.workload import (
    Workload,
    bench_spec,
    make_workload,
    shipped_spec,
    staged_spec,
)

Trial = Callable[[Path], list[Figures]]

#: Those that repeat what they measure by themselves.
_ONCE = {"overhead", "workers", "crash", "snapshot", "memory"}

_KINDS = (
    *(
        "drain",
        "latency",
        "floor",
        "fast",
        "staged-drain",
        "staged-latency",
        "shipped-drain",
    ),
    *("overhead", "workers", "crash", "snapshot", "memory"),
)

#: Payments a second that one core has to keep up with.
_FAST_RATE = 50_000

#: What `--quick` makes of the options that are not given.
_QUICK = {
    "runs": 1,
    "events": 200_000,
    "seconds": 5.0,
    "crashes": 2,
    "keys": 50_000,
    "wait_quiet": 0.0,
}


def main() -> int:
    """Run every trial; return 1 if one cannot be made or a target is far off."""
    arguments = _arguments()
    if reason := kafka_available():
        print(reason, file=sys.stderr)
        return 1
    output = Output(" ".join(sys.argv[1:]))
    output.is_quiet = await_quiet(arguments.wait_quiet)
    with tempfile.TemporaryDirectory(prefix="fraud-bench-") as name, reserved(1):
        directory = Path(name)
        for kind, trial in _trials(directory, arguments).items():
            runs = 1 if kind in _ONCE else arguments.runs
            output.measure(kind, _numbered(trial, directory / kind), runs)
    return _end(output, is_judged=output.is_quiet and not arguments.quick)


def _numbered(trial: Trial, directory: Path) -> Callable[[int], list[Figures]]:
    return lambda run: trial(directory.with_name(f"{directory.name}-{run}"))


def _trials(directory: Path, arguments: argparse.Namespace) -> dict[str, Trial]:
    rate, seconds, runs = arguments.rate, arguments.seconds, arguments.runs

    @lru_cache
    def one() -> Workload:
        say("preparing payments and a model of 100 trees")
        fast = int(_FAST_RATE * seconds) if "fast" in kinds else 0
        count = max(arguments.events, fast + warm_up_count(seconds))
        return make_workload(directory / "one", count, spec=bench_spec())

    @lru_cache
    def two() -> Workload:
        say("preparing payments, labels and a model of two stages")
        return make_workload(directory / "two", arguments.events, spec=staged_spec())

    @lru_cache
    def shipped() -> Workload:
        say("preparing payments, labels and a model of the spec that is shipped")
        return make_workload(
            directory / "shipped", arguments.events, spec=shipped_spec()
        )

    def with_one(trial: Callable[..., list[Figures]], **options: object) -> Trial:
        return lambda place: trial(one().cut(arguments.events), place, **options)

    def with_two(trial: Callable[..., list[Figures]], **options: object) -> Trial:
        return lambda place: trial(two(), place, **options)

    kinds = arguments.only or _KINDS
    keys, per_key = arguments.keys, arguments.events_per_key
    trials: dict[str, Trial] = {
        "drain": with_one(drain),
        "latency": with_one(latency, rate=rate, seconds=seconds),
        "floor": with_one(floor, rate=rate, seconds=seconds),
        "fast": lambda place: latency(one(), place, rate=_FAST_RATE, seconds=seconds),
        "staged-drain": with_two(drain),
        "staged-latency": with_two(latency, rate=rate, seconds=seconds),
        "shipped-drain": lambda place: drain(shipped(), place),
        "overhead": with_one(overhead, runs=runs),
        "workers": with_one(scale, runs=runs),
        "crash": with_one(crash, crashes=arguments.crashes),
        "snapshot": partial(snapshot, keys=keys, per_key=per_key),
        "memory": partial(memory, quick=arguments.quick),
    }
    return {kind: trials[kind] for kind in kinds}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--only", action="append", choices=_KINDS, help="may be repeated")
    add("--quick", action="store_true", help="small and once: to see that it works")
    add("--runs", type=int, default=3, help="of each trial but the last three")
    add("--events", type=int, default=600_000, help="payments that are drained")
    add("--rate", type=int, default=1000, help="payments a second for the latency")
    add("--seconds", type=float, default=20.0, help="how long they are sent")
    add("--crashes", type=int, default=8, help="how often the worker is killed")
    add("--keys", type=int, default=1_000_000, help="of the state that is snapshot")
    add("--events-per-key", type=int, default=60, help="live ones in it")
    add("--wait-quiet", type=float, default=60.0, help="seconds, for a quiet machine")
    if parser.parse_args().quick:
        parser.set_defaults(**_QUICK)
    return parser.parse_args()


def _end(output: Output, *, is_judged: bool) -> int:
    """Say how far the targets are; return the exit code."""
    where = circumstances()
    content = {**where, "arguments": output.arguments, "is_quiet": output.is_quiet}
    content |= {"figures": output.lines, "targets": judgements(output.medians)}
    say(f"written to {write_json('bench.json', content)}")
    return judge(output.medians, where, is_judged=is_judged)


if __name__ == "__main__":
    sys.exit(main())
