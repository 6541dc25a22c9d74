"""What is scored: payments of a file or simulated ones, and a model of a hundred trees.

The model is fitted on labels that are drawn, not learnt: its cost is that of any model
of its size.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from training.dataset import read_dataset
from training.publish import DataWindow, make_bundle, publish
from training.reference import measured
from training.simulate import simulate
from training.simulation_files import write_simulation
from training.simulation_plan import SimulationPlan
from worker.codec import published_scores
from worker.drift import Reference
from worker.features import FeatureTransform, Spec
from worker.records import EventBatch

ROOT = Path(__file__).resolve().parents[2]
_HANDBOOK = ROOT.parent / "shared" / "data" / "handbook_transactions.parquet"
_SPEC = Path(__file__).with_name("bench.toml")

#: Payments from which the model is fitted.
_FITTED = 100_000

_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Workload:
    """Payments as files of JSON lines, and a directory with a bundle.

    `messages` holds a line `customer<TAB>payment` for each, in time order; the ids
    are the numbers of the lines.
    """

    source: str
    messages: Path
    models: Path
    count: int


def bench_spec() -> Spec:
    """Return the spec of all benchmarks: ten features, six of them windows."""
    return Spec.from_toml(_SPEC.read_text(encoding="utf-8"))


def make_workload(directory: Path, count: int) -> Workload:
    """Write payments, and the bundle that scores them."""
    spec = bench_spec()
    source, path = _payments(directory)
    events = read_dataset(path, spec).events
    events = events.take(slice(0, count))
    messages = directory / "messages.tsv"
    _write_messages(events, messages)
    models = directory / "models"
    _write_bundle(spec, events.take(slice(0, _FITTED)), models)
    return Workload(source, messages, models, len(events))


def _payments(directory: Path) -> tuple[str, Path]:
    given = Path(os.environ.get("HANDBOOK", _HANDBOOK))
    if given.exists():
        return given.name, given
    write_simulation(simulate(SimulationPlan()), directory, file_format="parquet")
    return "simulated payments", directory / "transactions.parquet"


def _write_messages(events: EventBatch, path: Path) -> None:
    customers, terminals = events.columns["customer_id"], events.columns["terminal_id"]
    amounts = (np.asarray(events.columns["amount"]) / 100).tolist()
    encode = msgspec.json.Encoder().encode
    with path.open("wb") as file:
        for i, time_ms in enumerate(events.event_time_ms.tolist()):
            payment = {
                "transaction_id": str(i),
                "event_time": time_ms,
                "customer_id": customers[i],
                "terminal_id": terminals[i],
                "amount": amounts[i],
            }
            file.write(f"{customers[i]}\t".encode() + encode(payment) + b"\n")


def _write_bundle(spec: Spec, events: EventBatch, models: Path) -> None:
    X = FeatureTransform(spec).transform(events).X
    fraud = np.random.default_rng(0).random(len(X)) < 0.01 + 0.2 * (X[:, 0] > 200)
    model = HistGradientBoostingClassifier(
        max_iter=100, max_leaf_nodes=15, early_stopping=False, random_state=0
    ).fit(X, fraud)
    times = events.event_time_ms
    window = DataWindow(int(times[0]), int(times[-1]), len(X), int(fraud.sum()))
    scores = published_scores(model.predict_proba(X)[:, 1])
    named = zip(spec.feature_names, X.T, strict=True)
    # With it the worker counts what it scores, as it does in operation.
    reference = Reference(
        {name: measured(column, times) for name, column in named},
        score=measured(scores, times),
        flag_ratio=float(np.mean(scores >= _THRESHOLD)),
    )
    make_bundle(
        models_dir=models,
        version="bench",
        spec=spec,
        model=model,
        records=events,
        threshold=_THRESHOLD,
        metrics={},
        data_window=window,
        reference=reference,
    )
    publish(models, "bench")
