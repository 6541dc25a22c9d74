"""Cores, their load, and what processes have used of them."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

#: Fields of /proc/stat that are work of somebody: user, nice, system, steal.
_WORK = (0, 1, 2, 7)


@contextmanager
def reserved(count: int) -> Iterator[None]:
    """Keep this process, and what it starts, off the last cores meanwhile.

    Where there are not more cores than that, nothing is kept free.
    """
    before = os.sched_getaffinity(0)
    others = [core for core in before if core < (os.cpu_count() or 1) - count]
    if others:
        os.sched_setaffinity(0, others)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin(pid: int, slot: int = 0) -> None:
    """Let a process that has only just begun run on a core of its own, if there is one.

    Threads that it starts later stay there too. Slot 0 is the last core.
    """
    core = (os.cpu_count() or 1) - 1 - slot
    if core > max(os.sched_getaffinity(0)):
        os.sched_setaffinity(pid, {core})


def confine(pid: int) -> None:
    """Let a process, with all its threads, run where this one may."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), os.sched_getaffinity(0))


def cpu_seconds(pid: int) -> float:
    """Processor time of a process, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in use at the moment."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Foreign:
    """Notes what the rest of the machine does from here on.

    Of its own processes it knows those that have ended, so ask when all have.
    """

    began: float
    machine_seconds: float
    own_seconds: float

    @classmethod
    def now(cls) -> Foreign:
        """Begin here."""
        return cls(time.monotonic(), _machine_seconds(), _own_seconds())

    def cores(self) -> float:
        """Return how many cores others have used on average since it began."""
        seconds = time.monotonic() - self.began
        machine = _machine_seconds() - self.machine_seconds
        own = _own_seconds() - self.own_seconds
        return max(0.0, machine - own) / seconds


def _machine_seconds() -> float:
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(int(fields[i]) for i in _WORK) / _TICKS_PER_SECOND


def _own_seconds() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
