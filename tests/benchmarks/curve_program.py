"""Measures the points of one curve in a process of its own; prints JSON.

    python -m tests.benchmarks.curve_program CURVE DIRECTORY [SHRINK]

The worker's own pipeline on records that lie ready: what Kafka adds does not depend on
what varies here. SHRINK divides keys and repetitions, to see that it works.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.points import CURVES, LONGEST_SECONDS, Point
from tests.benchmarks.workload import write_bundle
from worker.bundle import read_bundle
from worker.commands.run import GC_THRESHOLD
from worker.features import Spec
from worker.pipeline import (
    PartitionState,
    Pipeline,
    TopicNames,
    Topology,
    build_stages,
)
from worker.records import Column, EventBatch, RecordBatch, TopicPartition
from worker.scoring import LoadedModel, load_model

_NAMES = TopicNames("transactions", "labels", "scores", "dead-letters")
_PLACE = TopicPartition(_NAMES.transactions, 0)

_FIRST_MS = 1_514_764_800_000

#: Events folded at once while a state is filled.
_FILL_BATCH = 65_536

#: Events from which a model is fitted.
_FITTED = 20_000

#: How often a point is measured; and on how many batches, on how many events at least.
_REPEATS, _BATCHES, _EVENTS = 7, 8, 2000


class Payments:
    """Payments of so many keys, each as often as the others, in random order."""

    def __init__(self, keys: int, per_key: int):
        self._keys = keys
        self._step_ms = LONGEST_SECONDS * 1000 / (keys * per_key)
        self._random = np.random.default_rng(0)
        self._order = np.zeros(0, np.int64)
        self._made = 0

    def take(self, count: int) -> EventBatch:
        """Return the next ones."""
        rounds = max(0, -(-(count - len(self._order)) // self._keys))
        new = (self._random.permutation(self._keys) for _ in range(rounds))
        self._order = np.concatenate((self._order, *new))
        keys, self._order = self._order[:count], self._order[count:]
        numbers = np.arange(self._made, self._made + count)
        self._made += count
        columns: dict[str, Column] = {
            "customer_id": [f"C{key}" for key in keys.tolist()],
            "terminal_id": [f"T{number % 10_000}" for number in numbers.tolist()],
            "amount": self._random.integers(100, 40_000, count),
        }
        times_ms: NDArray[np.int64] = _FIRST_MS + (numbers * self._step_ms).astype(int)
        return EventBatch(list(map(str, numbers.tolist())), times_ms, columns)


class Measured:
    """A model's pipeline with a partition whose keys have their live events."""

    def __init__(self, model: LoadedModel, point: Point):
        topology = Topology.of(model.spec, "curves", _NAMES)
        stages = build_stages(
            model,
            topology,
            threshold=_threshold(model, point),
            app_version="0",
            max_message_bytes=1_000_000,
        )
        self._pipeline = Pipeline(stages)
        self._payments = Payments(point.keys, point.per_key)
        self._batch, self._made = point.batch, 0
        transform = model.stages[0]
        transform.warm_up()
        self._partition = PartitionState(_PLACE, 0, transform.new_state())
        # One round more than live ones, so that from here on each event ends another.
        left = point.keys * (point.per_key + 1)
        while left:
            count = min(left, _FILL_BATCH)
            transform.transform(self._payments.take(count), self._partition.state)
            left -= count

    def run(self, events: int) -> tuple[float, dict[str, float]]:
        """Return CPU µs for each event, and wall µs of each step."""
        count = max(_BATCHES, -(-events // self._batch))
        batches = [self._records() for _ in range(count)]
        partitions, run = {_PLACE: self._partition}, self._pipeline.run
        total, steps = count * self._batch, dict[str, float]()
        began = time.process_time()
        for records in batches:
            for step, seconds in run(records, partitions).stage_seconds.items():
                steps[step] = steps.get(step, 0.0) + seconds
        cpu = time.process_time() - began
        return cpu / total * 1e6, {s: took / total * 1e6 for s, took in steps.items()}

    def _records(self) -> RecordBatch:
        count, first = self._batch, self._made
        self._made += count
        events = self._payments.take(count)
        return RecordBatch(
            [_PLACE.topic] * count,
            [0] * count,
            list(range(first, first + count)),
            events.event_time_ms.tolist(),
            [str(key).encode() for key in events.columns["customer_id"]],
            _encoded(events),
        )


def _encoded(events: EventBatch) -> list[bytes | None]:
    encode = msgspec.json.Encoder().encode
    columns = events.columns
    return [
        encode(
            {
                "transaction_id": i,
                "event_time": time_ms,
                "customer_id": customer,
                "terminal_id": terminal,
                "amount": amount / 100,
            }
        )
        for i, time_ms, customer, terminal, amount in zip(
            events.transaction_ids,
            events.event_time_ms.tolist(),
            columns["customer_id"],
            columns["terminal_id"],
            np.asarray(columns["amount"]).tolist(),
            strict=True,
        )
    ]


def _threshold(model: LoadedModel, point: Point) -> float:
    """Return what so large a share of the payments reaches."""
    if not point.flagged:
        return 1.0
    transform = model.stages[0]
    X = transform.transform(Payments(point.keys, point.per_key).take(100_000)).X
    return float(np.quantile(model.scorer.score(X), 1 - point.flagged))


def _model(spec: Spec, trees: int, models: Path) -> LoadedModel:
    write_bundle(spec, Payments(500, 20).take(_FITTED), models, trees=trees)
    return load_model(read_bundle(models))


def main(name: str, directory: Path, shrink: int) -> None:
    """Print a line of JSON for each point of a curve."""
    models: dict[tuple[str, int], LoadedModel] = {}
    gc.set_threshold(GC_THRESHOLD)
    for point in CURVES[name].points:
        spec = point.spec()
        kind = spec.feature_fingerprint, point.trees
        if kind not in models:
            models[kind] = _model(spec, point.trees, directory / f"{len(models)}")
        shrunk = replace(point, keys=max(1, point.keys // shrink))
        measured = Measured(models[kind], shrunk)
        gc.collect()
        gc.freeze()
        measured.run(_EVENTS)
        repeats = max(2, _REPEATS // shrink)
        found = [measured.run(_EVENTS) for _ in range(repeats)]
        steps = {s: statistics.median(by[s] for _, by in found) for s in found[0][1]}
        runs = [cpu for cpu, _ in found]
        line = {"x": point.x, "series": point.series, "runs": runs, "steps": steps}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) if sys.argv[3:] else 1)
