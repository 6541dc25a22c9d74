"""What a cluster carries and costs: a calculation from what `make bench` has measured.

    python -m tests.benchmarks.capacity
    python -m tests.benchmarks.capacity --workers 8 --partitions 24 --stages 2

It is a calculation, no measurement of a cluster. It assumes:

- a worker has a core of its own, and nothing else runs there
- the brokers run elsewhere and keep up; what they need of CPU is told beside
- each doubling of the workers gains what the second one gained on one machine, where
  broker, sender and reader competed with them for the other cores
- keys are spread evenly over partitions; a worker has one partition at least, and the
  one with most of them decides when all are done

Reads build/bench/bench.json, writes build/bench/capacity.json.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.output import BUILD, write_json

_SECONDS_PER_HOUR = 3600

#: A core of a general-purpose machine at a large cloud provider, on demand, is between
#: 0.04 and 0.06 dollars an hour.
_DOLLARS_PER_CORE_HOUR = 0.05

#: Share of what it could carry that a cluster is given: the rest catches up.
_LOAD = 0.5

_WORKERS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class Measured:
    """What the calculation rests on.

    Attributes
    ----------
    events_per_second
        Of one worker on one core.
    gain
        Of two workers over one.
    broker_microseconds
        CPU of the broker for each event.
    """

    events_per_second: float
    gain: float
    broker_microseconds: float

    @classmethod
    def of(cls, medians: Mapping[str, float], stages: int) -> Measured:
        """Choose from the figures of a benchmark.

        Raises
        ------
        KeyError
            One that is needed was not measured.
        """
        prefix = "two_stage_" if stages > 1 else ""
        rate = medians[f"{prefix}drain_events_per_second"]
        broker_cores = medians[f"{prefix}drain_broker_cpu_cores"]
        gain = medians["two_workers_over_one"]
        return cls(rate, gain, broker_cores / rate * 1e6)


@dataclass(frozen=True, slots=True)
class Capacity:
    """What so many workers and partitions carry, and what a million events cost."""

    workers: int
    partitions: int
    events_per_second: float
    events_per_second_at_load: float
    dollars_per_million_events: float
    broker_cores_at_load: float


def capacity(
    measured: Measured,
    workers: int,
    partitions: int,
    *,
    dollars_per_core_hour: float,
    load: float,
) -> Capacity:
    """Calculate; workers beyond the number of partitions cost, and carry nothing.

    Parameters
    ----------
    load
        Share of what they could carry that is given to them, above 0.
    """
    active = min(workers, partitions)
    # One worker with two partitions beside others with one is done last.
    evenly = partitions / math.ceil(partitions / active) / active
    # More than a doubling is chance.
    gain = min(measured.gain, 2.0)
    rate = measured.events_per_second * active ** math.log2(gain) * evenly
    used = rate * load
    dollars = workers * dollars_per_core_hour / _SECONDS_PER_HOUR
    return Capacity(
        workers,
        partitions,
        rate,
        used,
        dollars / used * 1e6,
        used * measured.broker_microseconds / 1e6,
    )


def main() -> int:
    """Print a line for each number of workers; return the exit code."""
    arguments = _arguments()
    content = json.loads(arguments.figures.read_text(encoding="utf-8"))
    medians = {line["figure"]: line["median"] for line in content["figures"]}
    try:
        measured = Measured.of(medians, arguments.stages)
    except KeyError as missing:
        print(f"{arguments.figures} lacks {missing}: run make bench", file=sys.stderr)
        return 1
    price, load = arguments.dollars_per_core_hour, arguments.load
    found = [
        capacity(
            measured,
            workers,
            arguments.partitions or workers,
            dollars_per_core_hour=price,
            load=load,
        )
        for workers in arguments.workers or _WORKERS
    ]
    _print(found, measured, price, load)
    where = {name: content[name] for name in ("machine", "commit", "date", "is_quiet")}
    assumed = {"dollars_per_core_hour": price, "load": load, "stages": arguments.stages}
    made = {**where, "measured": asdict(measured), "assumed": assumed}
    made["capacities"] = [asdict(each) for each in found]
    print(f"written to {write_json('capacity.json', made)}")
    return 0


def _print(
    found: list[Capacity], measured: Measured, price: float, load: float
) -> None:
    print(
        f"Calculated, not measured: from {measured.events_per_second:,.0f} events/s of "
        f"one worker, {measured.gain:.2f} times as many of two, and "
        f"{measured.broker_microseconds:.1f} µs of the broker's CPU an event;\n"
        f"{price} dollars an hour for a core, used to {load:.0%}; brokers elsewhere "
        "and not in the price; a doubling of workers gains a doubling at most.\n"
    )
    print("workers  partitions   events/s at most   at that load   $/million   broker")
    for each in found:
        print(
            f"{each.workers:7}  {each.partitions:10}  {each.events_per_second:17,.0f}"
            f"  {each.events_per_second_at_load:13,.0f}"
            f"  {each.dollars_per_million_events:10.5f}"
            f"  {each.broker_cores_at_load:5.1f} cores"
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.capacity", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--workers", type=int, action="append", help="repeatable")
    add("--partitions", type=int, help="by default as many as workers")
    add("--stages", type=int, choices=(1, 2), default=1)
    add("--dollars-per-core-hour", type=float, default=_DOLLARS_PER_CORE_HOUR)
    add("--load", type=float, default=_LOAD, help="share of what could be carried")
    add("--figures", type=Path, default=BUILD / "bench.json")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
