"""The worker's own program without its monitoring, to see what the monitoring costs.

    python -m tests.benchmarks.silent run

For the benchmarks only. Nothing is counted, measured or compared with the model's
reference; everything else is the worker's own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from worker import cli
from worker.bundle import VerifiedBundle
from worker.commands import run
from worker.loop import Report
from worker.loop.assignment import Assignment
from worker.loop.ports import Consumer
from worker.loop.snapshots import Snapshots
from worker.metrics import AbortReason, Rebalance
from worker.pipeline import BatchResult
from worker.records import TopicPartition
from worker.scoring import LoadedModel, load_model


class SilentReport(Report):
    """Is told everything, and does nothing with it."""

    def polling(self) -> None: ...

    def polled(self) -> None: ...

    def committed(self, result: BatchResult, commit_seconds: float) -> None: ...

    def aborted(self, reason: AbortReason) -> None: ...

    def moved(self, event: Rebalance, places: Collection[TopicPartition]) -> None: ...

    def restored(self, seconds: Iterable[float]) -> None: ...

    def measure_snapshots(
        self, snapshots: Snapshots, places: Collection[TopicPartition]
    ) -> None: ...

    def measure(
        self,
        consumer: Consumer,
        assignment: Assignment,
        waiting: Mapping[TopicPartition, int],
    ) -> None: ...


def without_reference(
    load: Callable[[VerifiedBundle], LoadedModel],
) -> Callable[[VerifiedBundle], LoadedModel]:
    """Return what loads a model with nothing to compare live values with."""
    return lambda bundle: replace(load(bundle), reference=None)


def silence(composition: Any) -> None:
    """Exchange in the worker's composition what watches it; fails where it is gone."""
    for name, was, becomes in (
        ("Report", Report, SilentReport),
        ("load_model", load_model, without_reference(load_model)),
    ):
        assert getattr(composition, name) is was, f"{name} is composed elsewhere"
        setattr(composition, name, becomes)


if __name__ == "__main__":
    silence(run)
    sys.exit(cli.main())
