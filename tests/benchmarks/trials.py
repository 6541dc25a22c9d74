"""Trials on a real broker: what is drained, replayed, awaited, and how soon.

Each has a fresh broker, and a worker on a core of its own where there are several; it
ends with an audit of the whole stream.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np

from tests.benchmarks.arrivals import Arrivals, ScoresReader
from tests.benchmarks.stack import (
    PARTITIONS,
    Stack,
    cpu_seconds,
    fresh_stack,
    resident_bytes,
)
from tests.benchmarks.workload import Workload

#: What one run has measured, by the names of the figures; a trial may have several.
Figures = dict[str, float]

#: Payments that come before those whose latency is measured.
_WARM_UP = 3000

#: Measured latencies begin so long after the first scheduled payment.
_SETTLE_SECONDS = 2.0

#: Payments a second while the worker is killed.
_CRASH_RATE = 2000

#: Between a first score after a crash and the next crash, seconds: at least, at most.
_CRASH_PAUSE_SECONDS = (1.0, 3.0)

#: Nothing takes longer, seconds.
_PATIENCE_SECONDS = 90.0

_LOOK_SECONDS = 0.02


def drain(workload: Workload, directory: Path) -> list[Figures]:
    """Let a worker score a topic that is already full; then let another replay it."""
    with fresh_stack(workload, directory) as stack:
        stack.send(0, workload.count)
        process = stack.start_worker()
        reader = ScoresReader(stack.servers, PARTITIONS)
        first = reader.read(1)
        before, began = cpu_seconds(process.pid), first.times[0]
        rest = reader.read(workload.count - len(first.numbers))
        cpu = cpu_seconds(process.pid) - before
        resident = resident_bytes(process.pid)
        reader.close()
        process.stop()
        replayed = _replay(stack, workload.count)
        stack.verify()
    scored = len(rest.numbers)
    drained = {
        "drain_events_per_second": scored / (rest.times[-1] - began),
        "drain_cpu_microseconds_per_event": cpu / scored * 1e6,
        "resident_megabytes": resident / 1e6,
    }
    return [drained | replayed]


def _replay(stack: Stack, count: int) -> Figures:
    """Time a worker from the assignment to where all is folded that was answered."""
    # Without snapshots, those of the last worker included, it has only the log.
    process = stack.spawn_worker(FRAUD_SNAPSHOT_INTERVAL_SECONDS="0")
    _await(lambda: len(stack.logged("partition_assigned")) == 2 * PARTITIONS)
    before = cpu_seconds(process.pid)
    _await(lambda: len(stack.logged("partition_live")) == 2 * PARTITIONS)
    cpu = cpu_seconds(process.pid) - before
    process.stop()
    assigned = stack.logged("partition_assigned")[PARTITIONS:]
    folded = sum(facts["offset"] - facts["replay_from"] for facts in assigned)
    live = stack.logged("partition_live")[PARTITIONS:]
    seconds = max(map(_moment, live)) - max(map(_moment, assigned))
    # Offsets count the markers of the broker too, but there are none on the input.
    assert folded == count, f"{folded} of {count} payments were replayed"
    return {
        "replay_events_per_second": folded / seconds,
        "replay_cpu_microseconds_per_event": cpu / folded * 1e6,
    }


def latency(
    workload: Workload, directory: Path, rate: int, seconds: float
) -> list[Figures]:
    """Send at scheduled times; time from there to a reader of committed records."""
    last = min(workload.count, _WARM_UP + int(rate * seconds))
    with fresh_stack(workload, directory) as stack:
        process = stack.start_worker()
        reader = ScoresReader(stack.servers, PARTITIONS)
        stack.send(0, _WARM_UP)
        reader.read(_WARM_UP)
        start = time.time() + 2.0
        before = cpu_seconds(process.pid)
        with stack.sending(_WARM_UP, last, rate=rate, start=start):
            arrivals = reader.read(last - _WARM_UP)
        cpu = cpu_seconds(process.pid) - before
        reader.close()
        stack.verify()
    waits_ms = _latencies_ms(arrivals, start, rate)
    p50, p99, p999 = np.percentile(waits_ms, [50, 99, 99.9]).tolist()
    name = f"event_to_score_milliseconds_at_{rate}_per_second"
    return [
        {
            f"{name}_p50": p50,
            f"{name}_p99": p99,
            f"{name}_p99_9": p999,
            f"cpu_cores_at_{rate}_per_second": cpu / (arrivals.times[-1] - start + 2.0),
        }
    ]


def crash(workload: Workload, directory: Path, crashes: int) -> list[Figures]:
    """Kill the worker at random moments; time its successor to its first score.

    From the start of the successor, which is at once, to the moment at which a reader
    of committed records holds a score that it made: imports, the replay and the
    settling of what the dead one left open included.
    """
    moments = random.Random(0)
    seconds = []
    with fresh_stack(workload, directory) as stack:
        process = stack.start_worker()
        reader = ScoresReader(stack.servers, PARTITIONS)
        start = time.time() + 1.0
        with stack.sending(0, workload.count, rate=_CRASH_RATE, start=start) as sender:
            reader.read_made_since(start)
            for _ in range(crashes):
                reader.read_until(time.time() + moments.uniform(*_CRASH_PAUSE_SECONDS))
                os.kill(process.pid, signal.SIGKILL)
                killed_at = time.time()
                process = stack.spawn_worker()
                seconds.append(reader.read_made_since(killed_at) - killed_at)
            if sender.poll() is not None:
                raise RuntimeError("too few payments for so many crashes: --events")
            sender.terminate()
            reader.read_until(time.time() + _SETTLE_SECONDS)
        reader.close()
        stack.verify()
    return [{"first_score_after_kill_seconds": each} for each in seconds]


def _latencies_ms(arrivals: Arrivals, start: float, rate: int) -> np.ndarray:
    due = start + (np.array(arrivals.numbers) - _WARM_UP) / rate
    waits_ms: np.ndarray = (np.array(arrivals.times) - due) * 1000
    return waits_ms[due >= start + _SETTLE_SECONDS]


def _moment(facts: dict[str, str]) -> float:
    return datetime.fromisoformat(facts["time"]).timestamp()


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the worker did not get that far; see its log")
        time.sleep(_LOOK_SECONDS)
