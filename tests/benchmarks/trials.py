"""Trials on payments that come at scheduled times: how soon they are answered.

Each has a fresh broker, and a worker on a core of its own where there are several; it
ends with an audit of the whole stream.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import numpy as np

from demo.workers import WorkerProcess
from tests.benchmarks.arrivals import Arrivals
from tests.benchmarks.cores import cpu_seconds
from tests.benchmarks.drains import Figures
from tests.benchmarks.stack import Stack, StackStream, fresh_stack
from tests.benchmarks.workload import Workload

#: For so long payments come before those that are measured: until the broker, a Java
#: program, has compiled what a commit needs. A run that is shorter warms up for less.
_WARM_UP_SECONDS = 30.0

#: Payments a second that come meanwhile, whatever the rate that is measured.
_WARM_UP_RATE = 1000

#: Measured latencies begin so long after the first scheduled payment.
_SETTLE_SECONDS = 2.0

#: Records that a sender reads in a second, before it can send the first: fewer.
_READ_PER_SECOND = 200_000

#: Payments a second while the worker is killed.
_CRASH_RATE = 2000

#: Between a first score after a crash and the next crash, seconds: at least, at most.
_CRASH_PAUSE_SECONDS = (1.0, 3.0)


def latency(
    workload: Workload, directory: Path, rate: int, seconds: float
) -> list[Figures]:
    """Send at scheduled times; time from there to a reader of committed records."""
    with fresh_stack(workload, directory) as stack:
        stream = stack.stream()
        process = stream.start_worker()
        figures = timed(stack, stream, process, rate, seconds)
        stream.verify()
    return [{workload.prefix + name: value for name, value in figures.items()}]


def timed(
    stack: Stack, stream: StackStream, process: WorkerProcess, rate: int, seconds: float
) -> Figures:
    """Send to a worker at scheduled times; return its latency and what it took."""
    workload, reader = stack.workload, stream.reader()
    first = warm_up_count(seconds)
    last = min(workload.count, first + int(rate * seconds))
    with stack.sending(0, first, rate=_WARM_UP_RATE, start=time.time()):
        reader.read(workload.payments(0, first))
    start = time.time() + 2.0 + (last - first) / _READ_PER_SECOND
    with stack.sending(first, last, rate=rate, start=start):
        time.sleep(max(0.0, start - time.time()))
        before = cpu_seconds(process.pid)
        arrivals = reader.read(workload.payments(first, last))
    cpu = cpu_seconds(process.pid) - before
    times, due = np.array(arrivals.times), _due(arrivals, first, start, rate)
    waits_ms = ((times - due) * 1000)[due >= start + _SETTLE_SECONDS]
    p50, p99, p999 = np.percentile(waits_ms, [50, 99, 99.9]).tolist()
    name, at = f"event_to_score_milliseconds_at_{rate}_per_second", f"at_{rate}"
    return {
        f"{name}_p50": p50,
        f"{name}_p99": p99,
        f"{name}_p99_9": p999,
        f"cpu_cores_{at}_per_second": cpu / (times[-1] - start),
        f"share_kept_up_with_{at}_per_second": _kept_up(times, due),
        f"sender_late_milliseconds_{at}_per_second_p99": stack.sender_late_ms,
    }


def warm_up_count(seconds: float) -> int:
    """Return how many payments come before those of a run of that length."""
    return int(_WARM_UP_RATE * min(_WARM_UP_SECONDS, 2 * seconds))


def _due(arrivals: Arrivals, first: int, start: float, rate: int) -> np.ndarray:
    return start + (np.array(arrivals.numbers) - first) / rate


def _kept_up(times: np.ndarray, due: np.ndarray) -> float:
    """Return the scores that came for each payment sent, once all had settled.

    Below 1 when more payments wait at the end of the sending than at its beginning.
    """
    first, last = due.min() + _SETTLE_SECONDS, due.max()
    came = np.count_nonzero((times >= first) & (times < last))
    return float(came / np.count_nonzero((due >= first) & (due < last)))


def crash(workload: Workload, directory: Path, crashes: int) -> list[Figures]:
    """Kill the worker at random moments; time its successor to its first score.

    From the start of the successor, which is at once, to the moment at which a reader
    of committed records holds a score that it made: imports, the replay and the
    settling of what the dead one left open included.
    """
    moments = random.Random(0)
    seconds = []
    with fresh_stack(workload, directory) as stack:
        stream = stack.stream()
        process = stream.start_worker()
        reader = stream.reader()
        start = time.time() + 1.0
        with stack.sending(0, workload.count, rate=_CRASH_RATE, start=start) as sender:
            reader.read_made_since(start)
            for _ in range(crashes):
                reader.read_until(time.time() + moments.uniform(*_CRASH_PAUSE_SECONDS))
                os.kill(process.pid, signal.SIGKILL)
                killed_at = time.time()
                process = stream.spawn_worker()
                seconds.append(reader.read_made_since(killed_at) - killed_at)
            if sender.poll() is not None:
                raise RuntimeError("too few payments for so many crashes: --events")
            sender.terminate()
            reader.read_until(time.time() + _SETTLE_SECONDS)
        stream.verify()
    return [{"first_score_after_kill_seconds": each} for each in seconds]
