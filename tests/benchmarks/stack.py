"""A fresh broker, a worker on a core of its own, and what the system says of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson

from demo.broker import KafkaBroker
from demo.programs import command, environment
from demo.workers import WorkerProcess, worker
from tests.benchmarks.workload import ROOT, Workload

PARTITIONS = 4
_TOPICS = {"transactions": PARTITIONS, "scores": PARTITIONS, "dead-letters": PARTITIONS}

#: The worker's name: its slot in the group, and that of its log.
_NAME = "bench"

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Stack:
    """A fresh broker, and the worker of a trial."""

    def __init__(self, workload: Workload, directory: Path, closing: ExitStack):
        self._closing = closing
        self._workload = workload
        self._directory = directory
        broker = KafkaBroker(directory / "kafka", topics=_TOPICS)
        self.servers = closing.enter_context(broker).bootstrap_servers
        self._settings = {
            "FRAUD_BOOTSTRAP_SERVERS": self.servers,
            "FRAUD_MODELS_DIR": str(workload.models),
        }

    def start_worker(self) -> WorkerProcess:
        """Start a worker on the last core; return when it has started."""
        process = self.spawn_worker()
        process.await_start(lambda: None)
        return process

    def spawn_worker(self, **settings: str) -> WorkerProcess:
        """Start a worker on the last core; everything else stays on the others."""
        process = self._closing.enter_context(
            worker(_NAME, self._directory, {**self._settings, **settings})
        )
        pin_to_reserved_core(process.pid)
        return process

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return what all workers so far have logged of an event."""
        lines = (self._directory / f"{_NAME}.log").read_bytes().split(b"\n")[:-1]
        found = [orjson.loads(line) for line in lines if line.startswith(b"{")]
        return [facts for facts in found if facts.get("event") == event]

    def send(self, first: int, last: int) -> None:
        """Send payments as fast as the broker takes them."""
        with self.sending(first, last, rate=0, start=0.0):
            pass

    @contextmanager
    def sending(
        self, first: int, last: int, *, rate: int, start: float
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Send at scheduled times meanwhile, to the end unless it is terminated."""
        messages = str(self._workload.messages)
        program = [sys.executable, "-m", "tests.benchmarks.load"]
        arguments = [self.servers, messages, str(first), str(last), str(rate)]
        with subprocess.Popen([*program, *arguments, str(start)], cwd=ROOT) as process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
            if process.wait() > 0:
                raise RuntimeError("the payments could not be sent")

    def verify(self) -> None:
        """Audit the stream by the worker's own command; raises if it is not right."""
        subprocess.run(
            command("fraud-worker", "verify"),
            env=environment(self._settings),
            check=True,
            stdout=sys.stderr,
        )


@contextmanager
def fresh_stack(workload: Workload, directory: Path) -> Iterator[Stack]:
    """Run a broker with empty topics; all that was started is gone at the end."""
    directory.mkdir()
    with ExitStack() as closing:
        yield Stack(workload, directory, closing)


def reserve_core() -> None:
    """Keep this process and its children off the last core, where there are several."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[:-1])


def pin_to_reserved_core(pid: int) -> None:
    """Let a process that has only just begun run on the core kept for it, if any.

    Threads that it starts later stay there too.
    """
    reserved = max(os.sched_getaffinity(0)) + 1
    if reserved < (os.cpu_count() or 1):
        os.sched_setaffinity(pid, {reserved})


def cpu_seconds(pid: int) -> float:
    """Processor time of a process, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in use at the moment."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
