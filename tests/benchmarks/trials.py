"""One trial: a broker, a worker on a core of its own, payments, and its figures."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from demo.broker import KafkaBroker
from demo.programs import command, environment
from demo.workers import WorkerProcess, worker
from tests.benchmarks.arrivals import Arrivals, ScoresReader
from tests.benchmarks.workload import ROOT, Workload

PARTITIONS = 4
_TOPICS = {"transactions": PARTITIONS, "scores": PARTITIONS, "dead-letters": PARTITIONS}

#: Payments that come before those whose latency is measured.
_WARM_UP = 3000

#: Measured latencies begin so long after the first scheduled payment.
_SETTLE_SECONDS = 2.0

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Trial:
    """What one trial has measured, by the names of the figures."""

    figures: dict[str, float]


def drain(workload: Workload, directory: Path) -> Trial:
    """Let a worker score a topic that is already full."""
    with _stack(workload, directory) as stack:
        _send(stack, workload, 0, workload.count)
        process = stack.start_worker()
        reader = ScoresReader(stack.servers, PARTITIONS)
        first = reader.read(1)
        before, began = _cpu_seconds(process.pid), first.times[0]
        rest = reader.read(workload.count - len(first.numbers))
        cpu = _cpu_seconds(process.pid) - before
        resident = _resident_bytes(process.pid)
        reader.close()
        stack.verify()
    scored = len(rest.numbers)
    return Trial(
        {
            "drain_events_per_second": scored / (rest.times[-1] - began),
            "drain_cpu_microseconds_per_event": cpu / scored * 1e6,
            "resident_megabytes": resident / 1e6,
        }
    )


def latency(workload: Workload, directory: Path, rate: int, seconds: float) -> Trial:
    """Send at scheduled times; time from there to a reader of committed records."""
    last = min(workload.count, _WARM_UP + int(rate * seconds))
    with _stack(workload, directory) as stack:
        process = stack.start_worker()
        reader = ScoresReader(stack.servers, PARTITIONS)
        _send(stack, workload, 0, _WARM_UP)
        reader.read(_WARM_UP)
        start = time.time() + 2.0
        before = _cpu_seconds(process.pid)
        with _sending(stack, workload, _WARM_UP, last, rate=rate, start=start):
            arrivals = reader.read(last - _WARM_UP)
        cpu = _cpu_seconds(process.pid) - before
        reader.close()
        stack.verify()
    waits_ms = _latencies_ms(arrivals, start, rate)
    p50, p99, p999 = np.percentile(waits_ms, [50, 99, 99.9]).tolist()
    name = f"event_to_score_milliseconds_at_{rate}_per_second"
    return Trial(
        {
            f"{name}_p50": p50,
            f"{name}_p99": p99,
            f"{name}_p99_9": p999,
            f"cpu_cores_at_{rate}_per_second": cpu / (arrivals.times[-1] - start + 2.0),
        }
    )


def _latencies_ms(arrivals: Arrivals, start: float, rate: int) -> np.ndarray:
    due = start + (np.array(arrivals.numbers) - _WARM_UP) / rate
    waits_ms: np.ndarray = (np.array(arrivals.times) - due) * 1000
    return waits_ms[due >= start + _SETTLE_SECONDS]


class _Stack:
    """A fresh broker, and the worker of a trial."""

    def __init__(self, workload: Workload, directory: Path, closing: ExitStack):
        self._closing = closing
        self._directory = directory
        broker = KafkaBroker(directory / "kafka", topics=_TOPICS)
        self.servers = closing.enter_context(broker).bootstrap_servers
        self._settings = {
            "FRAUD_BOOTSTRAP_SERVERS": self.servers,
            "FRAUD_MODELS_DIR": str(workload.models),
        }

    def start_worker(self) -> WorkerProcess:
        """Start a worker on the last core; everything else stays on the others."""
        with _affinity({max(os.sched_getaffinity(0)) + 1}):
            process = self._closing.enter_context(
                worker("bench", self._directory, self._settings)
            )
        process.await_start(lambda: None)
        return process

    def verify(self) -> None:
        """Audit the stream by the worker's own command; raises if it is not right."""
        settings = environment(self._settings)
        subprocess.run(
            command("fraud-worker", "verify"),
            env=settings,
            check=True,
            stdout=sys.stderr,
        )


@contextmanager
def _stack(workload: Workload, directory: Path) -> Iterator[_Stack]:
    directory.mkdir()
    with ExitStack() as closing:
        yield _Stack(workload, directory, closing)


def reserve_core() -> None:
    """Keep this process and its children off the last core, where there are several."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[:-1])


@contextmanager
def _affinity(cores: set[int]) -> Iterator[None]:
    """Let children that are started within be born on these cores, if they exist."""
    before = os.sched_getaffinity(0)
    if max(cores) < (os.cpu_count() or 1):
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _sending(
    stack: _Stack, workload: Workload, first: int, last: int, *, rate: int, start: float
) -> Iterator[None]:
    arguments = [stack.servers, str(workload.messages), str(first), str(last)]
    program = [sys.executable, "-m", "tests.benchmarks.load"]
    argv = [*program, *arguments, str(rate), str(start)]
    with subprocess.Popen(argv, cwd=ROOT) as process:
        yield
        if process.wait():
            raise RuntimeError("the payments could not be sent")


def _send(stack: _Stack, workload: Workload, first: int, last: int) -> None:
    with _sending(stack, workload, first, last, rate=0, start=0.0):
        pass


def _cpu_seconds(pid: int) -> float:
    """Processor time of a process, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
