"""Figures as lines of JSON, with where, when and how quietly they were taken."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.cores import Foreign
from tests.benchmarks.machine import commit, machine, today
from tests.benchmarks.workload import ROOT, source

#: Where everything is written.
BUILD = ROOT / "build" / "bench"

#: A machine is quiet while others use no more of its cores than that on average.
QUIET_CORES = 0.25

_LOOK_SECONDS = 2.0

Figures = dict[str, float]


@dataclass(slots=True)
class Output:
    """Prints each figure when it is known, and keeps all of them.

    Attributes
    ----------
    arguments
        With which the benchmark was started.
    is_quiet
        Whether nobody else used the machine, in any trial.
    """

    arguments: str
    lines: list[dict[str, Any]] = field(default_factory=list)
    is_quiet: bool = True

    def measure(
        self, name: str, trial: Callable[[int], list[Figures]], runs: int
    ) -> list[Figures]:
        """Make a trial so often, given the number of the run."""
        results = []
        foreign = Foreign.now()
        for run in range(runs):
            say(f"{name}, run {run + 1} of {runs}")
            results += trial(run)
        cores = foreign.cores()
        if cores > QUIET_CORES:
            self.is_quiet = False
            say(f"not quiet: others used {cores:.2f} cores during {name}")
        self._print(results, cores)
        return results

    def _print(self, results: Sequence[Figures], foreign_cores: float) -> None:
        for figure in results[0]:
            runs = [round(result[figure], 3) for result in results]
            line = {
                "figure": figure,
                "median": statistics.median(runs),
                "least": min(runs),
                "greatest": max(runs),
                "runs": runs,
                "foreign_cores": round(foreign_cores, 2),
                "load": round(os.getloadavg()[0], 2),
                "arguments": self.arguments,
                "data": source(),
                **circumstances(),
            }
            self.lines.append(line)
            print(json.dumps(line), flush=True)

    @property
    def medians(self) -> Figures:
        """All figures so far."""
        return {line["figure"]: line["median"] for line in self.lines}


def circumstances() -> dict[str, str]:
    """Return where and when, and of which commit."""
    return {"machine": machine(), "commit": commit(), "date": today()}


def write_json(name: str, content: Any) -> Path:
    """Write a file for programs; return where it is."""
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / name
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def await_quiet(longest_seconds: float) -> bool:
    """Wait until nobody else uses the machine; return whether that came about."""
    deadline = time.monotonic() + longest_seconds
    while True:
        foreign = Foreign.now()
        time.sleep(_LOOK_SECONDS)
        cores, load = foreign.cores(), os.getloadavg()[0]
        if cores <= QUIET_CORES:
            say(f"quiet: others use {cores:.2f} cores, load average {load:.1f}")
            return True
        if time.monotonic() > deadline:
            say(
                f"this machine is busy (others use {cores:.2f} cores, load average "
                f"{load:.1f}): the figures say so, and misses count for nothing"
            )
            return False
        say(f"waiting: others use {cores:.2f} cores, load average {load:.1f}")


def say(sentence: str) -> None:
    """Tell a person what goes on."""
    print(f"{sentence} ...", file=sys.stderr, flush=True)
