"""What exactly-once costs at least, here and now: a loop that only copies.

Machines differ, and one machine from hour to hour; what a worker takes is to be held
against this, taken with the same broker, sender, reader and core.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.benchmarks.drains import Figures, drained
from tests.benchmarks.stack import fresh_stack
from tests.benchmarks.targets import FLOOR
from tests.benchmarks.trials import timed
from tests.benchmarks.workload import Workload

_COPYING = [sys.executable, "-m", "tests.benchmarks.copying"]

_KEPT = ("drain_events_per_second", "drain_cpu_microseconds_per_event")


def floor(
    workload: Workload, directory: Path, rate: int, seconds: float
) -> list[Figures]:
    """Let it copy payments at scheduled times, and then a topic that is full."""
    directory.mkdir()
    with fresh_stack(workload, directory / "timed") as stack:
        stream = stack.stream()
        process = stream.spawn_worker(argv=_COPYING)
        figures = timed(stack, stream, process, rate, seconds)
    with fresh_stack(workload, directory / "drained") as stack:
        stack.send(0, workload.count)
        stream = stack.stream()
        process = stream.spawn_worker(argv=_COPYING)
        _, found = drained(stack, stream, [process], is_watched=False)
    figures |= {name: found[name] for name in _KEPT}
    return [{FLOOR + name: value for name, value in figures.items()}]
