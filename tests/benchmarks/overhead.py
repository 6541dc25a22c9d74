"""What monitoring and snapshots cost: a full topic drained with them and without.

No setting switches monitoring off, and none is made for this: the worker's program is
put together without it (see `silent`). All runs drain the same topic, in turn.
"""

from __future__ import annotations

import statistics
import sys
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
    """Return shares of the CPU per event of a worker that has neither, in percent."""
    found: dict[str, list[float]] = {name: [] for name in _VARIANTS}
    with fresh_stack(workload, directory) as stack:
        stack.send(0, workload.count)
        for run in range(runs):
            # Forth and back, so that no variant is always the one after another.
            names = list(_VARIANTS)[:: -1 if run % 2 else 1]
            for name in names:
                found[name].append(_cpu_microseconds(stack, *_VARIANTS[name]))
    cost = {name: statistics.median(costs) for name, costs in found.items()}
    bare = cost["neither"]
    return [
        {
            "monitoring_percent_of_cpu": 100 * (cost["no_snapshots"] / bare - 1),
            "snapshots_percent_of_cpu": 100 * (cost["no_monitoring"] / bare - 1),
            "monitoring_and_snapshots_percent_of_cpu": 100 * (cost["all"] / bare - 1),
            **{f"cpu_microseconds_per_event_{n}": us for n, us in cost.items()},
        }
    ]


def _cpu_microseconds(stack: Stack, has_monitoring: bool, has_snapshots: bool) -> float:
    every = SNAPSHOT_SECONDS if has_snapshots else 0.0
    stream = stack.stream(FRAUD_SNAPSHOT_INTERVAL_SECONDS=str(every))
    process = stream.spawn_worker(argv=None if has_monitoring else _SILENT)
    _, figures = drained(stack, stream, [process], is_watched=has_monitoring)
    process.stop()
    stream.verify()
    return figures["drain_cpu_microseconds_per_event"]
