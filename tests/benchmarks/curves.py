"""Measures what the cost of a payment depends on; writes JSON and plots.

    make bench-curves
    make bench-curves ARGS="--quick --only keys"

Without a broker, where it adds nothing that varies: cost against batch size, keys, live
events of a key, windows, features, trees, and the share of payments that is explained.
On a real Kafka: partitions, workers (on a core each, the broker's own CPU beside), and
stages. Written to build/bench: curves.json, and an image of each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from demo.broker import kafka_available
from tests.benchmarks.cores import Foreign, reserved
from tests.benchmarks.drains import drain, scale
from tests.benchmarks.output import (
    QUIET_CORES,
    Figures,
    await_quiet,
    circumstances,
    say,
    write_json,
)
from tests.benchmarks.plots import plot_all
from tests.benchmarks.points import CURVES
from tests.benchmarks.states import run_apart
from tests.benchmarks.targets import judge, judgements
from tests.benchmarks.workload import bench_spec, make_workload, staged_spec

_ON_KAFKA = ("partitions", "workers", "stages")

_PARTITIONS = (1, 4, 12)

#: How much smaller `--quick` makes everything.
_QUICK_SHRINK = 20

Found = dict[str, Any]


def main() -> int:
    """Measure and plot; return 1 if a target is far off on a quiet machine."""
    arguments = _arguments()
    kinds = arguments.only or [*CURVES, *_ON_KAFKA]
    if set(kinds) & set(_ON_KAFKA) and (reason := kafka_available()):
        print(reason, file=sys.stderr)
        return 1
    is_quiet = await_quiet(0.0 if arguments.quick else 60.0)
    found: dict[str, Found] = {}
    with tempfile.TemporaryDirectory(prefix="fraud-curves-") as name, reserved(1):
        directory = Path(name)
        for kind in kinds:
            say(kind)
            foreign = Foreign.now()
            measure = _measure_apart if kind in CURVES else _measure_on_kafka
            curve = measure(kind, directory / kind, arguments)
            found[kind] = curve | {"foreign_cores": round(foreign.cores(), 2)}
            is_quiet &= found[kind]["foreign_cores"] <= QUIET_CORES
            print("\n".join(_told(kind, found[kind])), flush=True)
    return _end(found, is_quiet=is_quiet, is_quick=arguments.quick)


def _measure_apart(kind: str, directory: Path, arguments: argparse.Namespace) -> Found:
    directory.mkdir()
    shrink = str(_QUICK_SHRINK if arguments.quick else 1)
    printed = run_apart("curve_program", kind, str(directory), shrink)
    points = [json.loads(line) for line in printed.splitlines()]
    curve = CURVES[kind]
    return {
        "title": curve.title,
        "x_label": curve.x_label,
        "is_log": curve.is_log,
        "points": points,
    }


def _measure_on_kafka(
    kind: str, directory: Path, arguments: argparse.Namespace
) -> Found:
    events, runs = arguments.events, arguments.runs
    if arguments.quick:
        events, runs = events // 4, 1
    directory.mkdir()
    one = make_workload(directory / "one", events, spec=bench_spec())
    numbered = [directory / f"run-{run}" for run in range(runs)]
    if kind == "workers":
        found = scale(one, directory / "scale", runs=runs)
        by_x = {
            "1": [_without(figures, "one_worker_") for figures in found],
            "2": [_without(figures, "two_workers_") for figures in found],
        }
    elif kind == "partitions":
        by_x = {
            str(count): [
                figures
                for place in numbered
                for figures in drain(
                    one,
                    place.with_suffix(f".{count}"),
                    partitions=count,
                    is_replayed=False,
                )
            ]
            for count in _PARTITIONS
        }
    else:
        two = make_workload(directory / "two", events, spec=staged_spec())
        by_x = {
            str(stages): [
                _without(figures, workload.prefix)
                for place in numbered
                for figures in drain(
                    workload, place.with_suffix(f".{stages}"), is_replayed=False
                )
            ]
            for stages, workload in ((1, one), (2, two))
        }
    return _kafka_curve(kind, by_x)


def _without(figures: Figures, prefix: str) -> Figures:
    return {
        name.removeprefix(prefix): value
        for name, value in figures.items()
        if name.startswith(prefix)
    }


def _kafka_curve(kind: str, by_x: Mapping[str, Sequence[Figures]]) -> Found:
    points = []
    for x, runs in by_x.items():
        rates = [figures["drain_events_per_second"] for figures in runs]
        broker = [
            figures["drain_broker_cpu_cores"] / figures["drain_events_per_second"] * 1e6
            for figures in runs
        ]
        worker = [figures["drain_cpu_microseconds_per_event"] for figures in runs]
        points.append({"x": x, "rates": rates, "runs": worker, "broker": broker})
    title = f"Drain of a full topic against the number of {kind}"
    return {"title": title, "x_label": kind, "points": points}


def _told(kind: str, curve: Found) -> Iterator[str]:
    for point in curve["points"]:
        runs = point["runs"]
        spread = f"{min(runs):.2f} to {max(runs):.2f}"
        text = f"{statistics.median(runs):8.2f} µs CPU an event ({spread})"
        if "rates" in point:
            text += f", {statistics.median(point['rates']):,.0f} events/s"
            text += f", broker {statistics.median(point['broker']):.2f} µs"
        yield f"{kind} {point.get('series', '')} {point['x']}: {text}"


def ratios(found: Mapping[str, Found]) -> Figures:
    """Return what the targets say of the curves that there are."""
    made: Figures = {}
    if "live" in found:
        costs = _costs(found["live"])
        # The worse one: many keys that become few, and one key that becomes hot.
        made["curve_hot_key_10000_over_10"] = max(
            costs[series, 10_000] / costs[series, 10] for series, x in costs if x == 10
        )
    if "keys" in found:
        costs = _costs(found["keys"])
        made["curve_keys_1000000_over_1000"] = costs["", 1e6] / costs["", 1000]
    return made


def _costs(curve: Found) -> dict[tuple[str, float], float]:
    return {
        (point["series"], point["x"]): statistics.median(point["runs"])
        for point in curve["points"]
    }


def _end(found: Mapping[str, Found], *, is_quiet: bool, is_quick: bool) -> int:
    # A quick run has fewer keys than its points say.
    where, made = circumstances(), {} if is_quick else ratios(found)
    content = {**where, "is_quiet": is_quiet, "is_quick": is_quick}
    content |= {"curves": found, "targets": judgements(made)}
    say(f"written to {write_json('curves.json', content)}")
    for path in plot_all(content):
        say(f"written to {path}")
    return judge(made, where, is_judged=is_quiet and not is_quick)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-curves ARGS=...", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--only", action="append", choices=[*CURVES, *_ON_KAFKA], help="repeatable")
    add("--quick", action="store_true", help="small: to see that it works")
    add("--runs", type=int, default=3, help="of each point that needs a broker")
    add("--events", type=int, default=400_000, help="payments that are drained there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
