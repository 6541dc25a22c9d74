"""Days of simulated payments, scored by the model that ships, and counted by bins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.conftest import ROOT
from training.dataset import read_dataset
from training.featurize import feature_matrix
from training.labels import label_history, read_labels
from training.simulate import SimulationPlan, simulate
from training.simulation_files import write_simulation
from training.split import DAY_MS
from worker.bundle import read_bundle
from worker.codec import published_scores
from worker.drift import BinCounter, Reference
from worker.scoring import load_model

#: Of the simulation; the shipped model has learnt from other customers.
_SEED = 11


@dataclass(frozen=True, slots=True)
class ScoredDays:
    """Payments as a worker has answered them.

    Attributes
    ----------
    times_ms
        (n,) int64 since the first of the days began, ascending.
    X
        (n, n_features) float64.
    scores
        (n,) as published.
    """

    days: int
    reference: Reference
    threshold: float
    times_ms: NDArray[np.int64]
    X: NDArray[np.float64]
    scores: NDArray[np.float64]

    def counts(self, step_ms: int) -> NDArray[np.int64]:
        """Return (steps, cells) what each step adds to the worker's counters."""
        counter = BinCounter(self.reference)
        ends = np.arange(step_ms, self.days * DAY_MS + 1, step_ms)
        parts = np.split(np.arange(len(self.times_ms)), self._before(ends)[:-1])
        flagged = self.scores >= self.threshold
        return np.array(
            [
                counter.count(self.X[rows], self.scores[rows], flagged[rows]).cells
                for rows in parts
            ]
        )

    def _before(self, times_ms: NDArray[np.int64]) -> NDArray[np.intp]:
        return np.searchsorted(self.times_ms, times_ms)


def scored_days(directory: Path, days: int) -> ScoredDays:
    """Simulate, with enough days before them to fill every window, and score."""
    model = load_model(read_bundle(ROOT / "models"))
    spec = model.spec
    assert model.reference is not None
    before = -(-spec.horizon_ms // DAY_MS)
    plan = SimulationPlan(days=before + days, seed=_SEED)
    transactions, labels = write_simulation(simulate(plan), directory)
    events = read_dataset(transactions, spec).events
    history, _ = label_history(
        events,
        read_labels(labels, spec.schema, names={}),
        spec.schema,
        label_delay_ms=plan.label_delay_ms,
    )
    first_ms = plan.start_ms + before * DAY_MS
    live = events.event_time_ms >= first_ms
    X = feature_matrix(spec, events, history=history)[live]
    return ScoredDays(
        days=days,
        reference=model.reference,
        threshold=model.threshold,
        times_ms=events.event_time_ms[live] - first_ms,
        X=X,
        scores=published_scores(model.scorer.score(X)),
    )
