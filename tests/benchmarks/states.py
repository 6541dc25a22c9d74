"""Trials of the state alone: snapshots, restoring them, and what a key costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.benchmarks.cores import pin
from tests.benchmarks.workload import ROOT

Figures = dict[str, float]

#: Keys, and live events of each on average: where memory is measured.
_POINTS = ((50_000, 20), (200_000, 20), (50_000, 60), (100_000, 40))
_QUICK_POINTS = ((20_000, 20), (60_000, 20), (20_000, 60))


def snapshot(directory: Path, keys: int, per_key: int) -> list[Figures]:
    """Take a snapshot of a state of that size, then restore it elsewhere."""
    directory.mkdir()
    taken = _run("snapshot", directory, keys, per_key)
    restored = _run("restore", directory, keys, per_key)
    of = f"{keys}_keys_with_{per_key}_events"
    return [
        {
            f"state_of_{of}_gigabytes": taken["resident_bytes"] / 1e9,
            f"snapshot_of_{of}_pause_milliseconds_longest": taken["pause_ms_longest"],
            f"snapshot_of_{of}_pause_milliseconds_p99": taken["pause_ms_p99"],
            f"snapshot_of_{of}_extra_memory_percent": taken["extra_memory_percent"],
            f"snapshot_of_{of}_seconds": taken["seconds"],
            f"restore_of_{of}_events_per_second": restored["events_per_second"],
            f"restore_of_{of}_keys_per_second": restored["keys_per_second"],
        }
    ]


def memory(directory: Path, *, quick: bool) -> list[Figures]:
    """Tell the slopes of memory over keys, and over their live events."""
    points = _QUICK_POINTS if quick else _POINTS
    found = [_run("memory", directory, *point) for point in points]
    counts = np.array([[1.0, point["keys"], point["events"]] for point in found])
    used = np.array([point["resident_bytes"] for point in found])
    _, of_key, of_event = np.linalg.lstsq(counts, used, rcond=None)[0].tolist()
    return [{"bytes_per_key": of_key, "bytes_per_live_event": of_event}]


def _run(program: str, directory: Path, keys: int, per_key: int) -> Figures:
    arguments = program, str(directory), str(keys), str(per_key)
    found: Figures = json.loads(run_apart("state_program", *arguments))
    return found


def run_apart(module: str, *arguments: str) -> str:
    """Run a module of this package on the core that a worker would have.

    Returns what it prints.
    """
    argv = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]
    # All threads of a library would wait for each other on that one core.
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
    ) as process:
        pin(process.pid)
        printed, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{module} ended with {process.returncode}")
    return printed
