"""What monitoring and snapshots cost: a full topic drained with them and without.

No setting switches monitoring off, and none is made for this: the worker's program is
put together without it (see `silent`). All runs drain the same topic, in turn.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.drains import Figures, drained
from tests.benchmarks.stack import Stack, fresh_stack
from tests.benchmarks.workload import Workload

#: By default a partition has a snapshot every minute, longer than any of these runs:
#: here it has one so often, seconds.
SNAPSHOT_SECONDS = 2.0

_SILENT = [sys.executable, "-m", "tests.benchmarks.silent", "run"]

#: Whether there is monitoring, and whether there are snapshots.
_VARIANTS = {
    "all": (True, True),
    "no_monitoring": (False, True),
    "no_snapshots": (True, False),
    "neither": (False, False),
}


def overhead(workload: Workload, directory: Path, *, runs: int) -> list[Figures]:
    """Return what each run shows: percents of the CPU of a worker that has neither."""
    found = []
    with fresh_stack(workload, directory) as stack:
        stack.send(0, workload.count)
        for run in range(runs):
            # Forth and back, so that no variant is always the one after another.
            names = list(_VARIANTS)[:: -1 if run % 2 else 1]
            cost = {name: _cpu_microseconds(stack, *_VARIANTS[name]) for name in names}
            found.append(_percents(cost))
    return found


def _percents(cost: Mapping[str, float]) -> Figures:
    bare = cost["neither"]
    return {
        "monitoring_percent_of_cpu": 100 * (cost["no_snapshots"] / bare - 1),
        "snapshots_percent_of_cpu": 100 * (cost["no_monitoring"] / bare - 1),
        "monitoring_and_snapshots_percent_of_cpu": 100 * (cost["all"] / bare - 1),
        **{f"cpu_microseconds_per_event_{n}": cost[n] for n in _VARIANTS},
    }


def _cpu_microseconds(stack: Stack, has_monitoring: bool, has_snapshots: bool) -> float:
    every = SNAPSHOT_SECONDS if has_snapshots else 0.0
    stream = stack.stream(FRAUD_SNAPSHOT_INTERVAL_SECONDS=str(every))
    process = stream.spawn_worker(argv=None if has_monitoring else _SILENT)
    _, figures = drained(stack, stream, [process], is_watched=has_monitoring)
    process.stop()
    stream.verify()
    return figures["drain_cpu_microseconds_per_event"]
