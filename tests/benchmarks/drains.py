"""Trials that let workers score a topic that is already full.

Each has a fresh broker, and workers on cores of their own where there are several;
every stream ends with an audit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from demo.workers import WorkerProcess
from tests.benchmarks.arrivals import Counted
from tests.benchmarks.cores import cpu_seconds, reserved, resident_bytes
from tests.benchmarks.stack import PARTITIONS, Stack, StackStream, fresh_stack
from tests.benchmarks.steps import StepSeconds, ask
from tests.benchmarks.workload import Workload

#: What one run has measured, by the names of the figures; a trial may have several.
Figures = dict[str, float]

#: Nothing takes longer, seconds.
_PATIENCE_SECONDS = 90.0

_LOOK_SECONDS = 0.02


def drain(
    workload: Workload,
    directory: Path,
    *,
    partitions: int = PARTITIONS,
    is_replayed: bool = True,
) -> list[Figures]:
    """Let a worker score a topic that is already full; then let another replay it.

    With two stages, nothing is replayed.
    """
    with fresh_stack(workload, directory, partitions) as stack:
        stack.send(0, workload.count)
        stream = stack.stream()
        began = time.time()
        process = stream.spawn_worker()
        counted, figures = drained(stack, stream, [process])
        figures["start_to_first_score_seconds"] = counted.first_at - began
        process.stop()
        if is_replayed and not workload.prefix:
            figures |= _replay(stream, workload.count)
        stream.verify()
    return [{workload.prefix + name: value for name, value in figures.items()}]


def scale(workload: Workload, directory: Path, *, runs: int) -> list[Figures]:
    """Compare two workers on two cores with one, in turn, the same cores kept free."""
    directory.mkdir()
    found = []
    with reserved(2):
        for run in range(runs):
            one = _drain_at_once(workload, directory / f"one-{run}", 1)
            two = _drain_at_once(workload, directory / f"two-{run}", 2)
            name = "drain_events_per_second"
            ratio = two[f"two_workers_{name}"] / one[f"one_worker_{name}"]
            found.append(one | two | {"two_workers_over_one": ratio})
    return found


def _drain_at_once(workload: Workload, directory: Path, workers: int) -> Figures:
    """Let workers wait with their partitions for payments that come in one instant.

    Whoever starts first would else have drained the topic when the second is ready.
    """
    with fresh_stack(workload, directory) as stack:
        stream = stack.stream()
        processes = [stream.spawn_worker(slot) for slot in range(workers)]
        for process in processes:
            process.await_start(lambda: None)
        share = stream.partitions // workers
        await_condition(lambda: all(p.partitions() == share for p in processes))
        stack.send(0, workload.count, at_once=True)
        _, figures = drained(stack, stream, processes, is_watched=False)
        for process in processes:
            process.stop()
        stream.verify()
    of = "one_worker" if workers == 1 else "two_workers"
    kept = (
        "drain_events_per_second",
        "drain_cpu_microseconds_per_event",
        "drain_broker_cpu_cores",
    )
    return {f"{of}_{name}": figures[name] for name in kept}


def drained(
    stack: Stack,
    stream: StackStream,
    processes: Sequence[WorkerProcess],
    *,
    is_watched: bool = True,
) -> tuple[Counted, Figures]:
    """Read all scores of workers; return when they came, and what they took.

    Where they are watched, the first one is asked for its metrics as Prometheus would,
    at the beginning and at the end.
    """
    pids = [process.pid for process in processes]
    began: list[tuple[float, float, StepSeconds | None]] = []

    def note() -> None:
        cpu = sum(map(cpu_seconds, pids))
        asked = ask(stream.metrics_port) if is_watched else None
        began.append((cpu, stack.broker_cpu_seconds(), asked))

    payments = stack.workload.payments(0, stack.workload.count)
    counted = stream.reader().count(payments, note)
    note()
    (cpu, broker, steps), (cpu_after, broker_after, steps_after) = began
    seconds = counted.last_at - counted.first_at
    figures = {
        "drain_events_per_second": counted.per_second,
        "drain_cpu_microseconds_per_event": (cpu_after - cpu) / counted.later * 1e6,
        "drain_broker_cpu_cores": (broker_after - broker) / seconds,
        "resident_megabytes": resident_bytes(pids[0]) / 1e6,
    }
    if steps is not None and steps_after is not None:
        figures |= _by_step(steps_after.microseconds_since(steps), counted)
    return counted, figures


def _by_step(by_step: Mapping[str, float], counted: Counted) -> Figures:
    # What is left is the poll, and what the loop does between the steps.
    rest = 1e6 / counted.per_second - sum(by_step.values())
    return {
        f"drain_step_{step}_microseconds_per_event": took
        for step, took in {**by_step, "rest": rest}.items()
    }


def _replay(stream: StackStream, count: int) -> Figures:
    """Time a worker from the assignment to where all is folded that was answered."""
    # Without snapshots, those of the last worker included, it has only the log.
    process, expected = (
        stream.spawn_worker(FRAUD_SNAPSHOT_INTERVAL_SECONDS="0"),
        2 * stream.partitions,
    )
    await_condition(lambda: len(stream.logged("partition_assigned")) == expected)
    before = cpu_seconds(process.pid)
    await_condition(lambda: len(stream.logged("partition_live")) == expected)
    cpu = cpu_seconds(process.pid) - before
    process.stop()
    assigned = stream.logged("partition_assigned")[stream.partitions :]
    folded = sum(facts["offset"] - facts["replay_from"] for facts in assigned)
    live = stream.logged("partition_live")[stream.partitions :]
    seconds = max(map(_moment, live)) - max(map(_moment, assigned))
    # Offsets count the markers of the broker too, but there are none on the input.
    assert folded == count, f"{folded} of {count} payments were replayed"
    return {
        "replay_events_per_second": folded / seconds,
        "replay_cpu_microseconds_per_event": cpu / folded * 1e6,
    }


def await_condition(condition: Callable[[], bool]) -> None:
    """Wait for what workers are on the way to; raises TimeoutError."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the worker did not get that far; see its log")
        time.sleep(_LOOK_SECONDS)


def _moment(facts: dict[str, str]) -> float:
    return datetime.fromisoformat(facts["time"]).timestamp()
