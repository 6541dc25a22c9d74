"""Measures state apart from any broker, in a process of its own; prints JSON.

    python -m tests.benchmarks.state_program snapshot DIRECTORY KEYS EVENTS_PER_KEY
    python -m tests.benchmarks.state_program restore  DIRECTORY KEYS EVENTS_PER_KEY
    python -m tests.benchmarks.state_program memory   DIRECTORY KEYS EVENTS_PER_KEY

A process of its own, because memory that was once in use stays with a process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.cores import cpu_seconds, resident_bytes
from tests.benchmarks.workload import bench_spec
from worker.features import FeatureTransform
from worker.loop.limits import Limits
from worker.loop.loading import Asked, Loading
from worker.loop.snapshots import SnapshotPolicy, Snapshots, Wanted
from worker.pipeline import PartitionState
from worker.records import Column, EventBatch, LogBounds, TopicPartition
from worker.snapshots import SnapshotStore

PLACE = TopicPartition("transactions", 0)

#: All events lie within so many days, fewer than the longest window: all stay live.
_DAYS = 28
_FIRST_MS = 1_514_764_800_000

#: Events folded at once while a state is built, and between two steps of a snapshot.
_BATCH = 65_536
_SMALL_BATCH = 256

#: A step that finds the writing thread busy returns sooner; it is no pause.
_IDLE_STEP_MS = 0.05

_PATIENCE_SECONDS = 120.0


class Filled:
    """A state, and what it takes to go on filling it."""

    def __init__(self, keys: int) -> None:
        self.transform = FeatureTransform(bench_spec())
        self.transform.warm_up()
        self.state = self.transform.new_state()
        self._names = [f"C{number}" for number in range(keys)]
        self._ids = [str(number) for number in range(_BATCH)]
        self._folded = 0

    def fold(self, keys: NDArray[np.int64], step_ms: float) -> None:
        """Fold one event of each of these keys, in that order, so far apart."""
        numbers = np.arange(self._folded, self._folded + len(keys))
        self._folded += len(keys)
        names = self._names
        amounts = numbers % 10_000 + 1
        ids = self._ids[: len(keys)]
        columns: dict[str, Column] = {
            "customer_id": [names[key] for key in keys.tolist()],
            "terminal_id": [*ids],
            "amount": amounts,
        }
        times_ms = _FIRST_MS + (numbers * step_ms).astype(np.int64)
        events = EventBatch(ids, times_ms, columns)
        self.transform.transform(events, self.state)

    def fill(self, counts: NDArray[np.int64]) -> None:
        """Give each key so many live events, met in random order."""
        step_ms = _DAYS * 86_400_000 / int(counts.sum())
        for keys in _in_random_order(counts):
            self.fold(keys, step_ms)
        assert self.state.event_count == counts.sum()


def _in_random_order(counts: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield each key as often as it counts, round by round, in batches."""
    random = np.random.default_rng(0)
    for done in range(int(counts.max())):
        keys = random.permutation(np.flatnonzero(counts > done))
        for at in range(0, len(keys), _BATCH):
            # Neighbours together, or filling takes a fifth longer.
            yield np.sort(keys[at : at + _BATCH])


def snapshot(directory: Path, keys: int, per_key: int) -> dict[str, float]:
    """Take a snapshot between small batches, as the loop does; time every step."""
    made = Filled(keys)
    made.fill(np.full(keys, per_key))
    partition = PartitionState(PLACE, 1, made.state, next_offset=keys * per_key)
    snapshots = Snapshots(_policy(directory))
    random, pid = np.random.default_rng(1), os.getpid()
    before, most, pauses = resident_bytes(pid), 0, []
    began, deadline = time.perf_counter(), time.monotonic() + _PATIENCE_SECONDS
    while snapshots.age_seconds(PLACE) is None:
        assert time.monotonic() < deadline, "the snapshot takes too long"
        made.fold(random.integers(0, keys, _SMALL_BATCH), 0.001)
        partition.next_offset += _SMALL_BATCH
        pauses.append(_timed(lambda: snapshots.step({PLACE: partition}, set())))
        most = max(most, resident_bytes(pid))
    pauses_ms = np.array(pauses) * 1000
    copying_ms = pauses_ms[pauses_ms > _IDLE_STEP_MS]
    return {
        "keys": keys,
        "events": partition.state.event_count,
        "resident_bytes": before,
        "pause_ms_longest": float(pauses_ms.max()),
        "pause_ms_p99": float(np.percentile(copying_ms, 99)),
        "extra_memory_percent": 100 * (most - before) / before,
        "seconds": time.perf_counter() - began,
    }


def restored(directory: Path, keys: int, per_key: int) -> dict[str, float]:
    """Fill a state from the snapshot that `snapshot` left, as an idle worker does."""
    transform = FeatureTransform(bench_spec())
    transform.warm_up()
    wanted = {PLACE: Wanted(0, range(2**62))}
    bounds = LogBounds(0, 2**62, None)
    limits, pid = Limits(), os.getpid()
    began, before = time.perf_counter(), cpu_seconds(pid)
    loading = Loading(
        Asked(PLACE, 1, None, bounds, None),
        *Snapshots(_policy(directory)).read(wanted),
        new_state=lambda _: transform.new_state(),
        clock=time.monotonic,
    )
    while not loading.go_on(time.monotonic() + limits.idle_load_seconds):
        time.sleep(limits.load_poll_seconds)  # the poll of a worker with no records
    seconds, cpu = time.perf_counter() - began, cpu_seconds(pid) - before
    state = loading.state
    assert state.key_count == keys
    assert state.event_count >= keys * per_key
    return {
        "events_per_second": state.event_count / seconds,
        "keys_per_second": state.key_count / seconds,
        "cpu_microseconds_per_event": cpu / state.event_count * 1e6,
    }


def memory(_: Path, keys: int, per_key: int) -> dict[str, float]:
    """Tell how much memory a state takes whose keys have unequal numbers of events."""
    counts = np.random.default_rng(2).integers(1, 2 * per_key, keys)
    made, pid = Filled(keys), os.getpid()
    before = resident_bytes(pid)
    made.fill(counts)
    return {
        "keys": made.state.key_count,
        "events": made.state.event_count,
        "resident_bytes": resident_bytes(pid) - before,
    }


def _policy(directory: Path) -> SnapshotPolicy:
    return SnapshotPolicy(
        store=SnapshotStore(directory),
        topic_ids={},
        state_fingerprint=bench_spec().state_fingerprint,
        interval_seconds=0.0,
    )


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


PROGRAMS = {"snapshot": snapshot, "restore": restored, "memory": memory}


if __name__ == "__main__":
    name, place, key_count, events_per_key = sys.argv[1:]
    found = PROGRAMS[name](Path(place), int(key_count), int(events_per_key))
    print(json.dumps(found))
