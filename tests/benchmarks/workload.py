"""What is scored: payments of a file or simulated ones, and a model of a hundred trees.

The model is fitted on labels that are drawn, not learnt: its cost is that of any model
of its size.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from training.dataset import read_dataset
from training.featurize import feature_matrix
from training.labels import label_history, read_labels
from training.publish import DataWindow, make_bundle, publish
from training.reference import measured
from training.simulate import simulate
from training.simulation_files import write_simulation
from training.simulation_plan import SimulationPlan
from training.split import DAY_MS, LabelledHistory
from worker.codec import published_scores
from worker.drift import Reference
from worker.features import Spec
from worker.pipeline import TopicNames, Topology
from worker.records import EventBatch

ROOT = Path(__file__).resolve().parents[2]
_HANDBOOK = ROOT.parent / "shared" / "data" / "handbook_transactions.parquet"
_SPEC = Path(__file__).with_name("bench.toml")
_STAGED_SPEC = Path(__file__).with_name("stages.toml")
_SHIPPED_SPEC = ROOT / "training" / "specs" / "handbook.toml"

#: What the names of figures begin with, by the names of specs.
_PREFIXES = {"bench": "", "bench-stages": "two_stage_", "handbook": "shipped_spec_"}

#: Payments from which the model is fitted.
_FITTED = 100_000

#: Share of the payments that are flagged, hence explained: what the shipped model's
#: alert budget comes to.
_FLAGGED = 0.006

#: A fraud is confirmed so long after its payment, where the file does not say when.
_LABEL_DELAY_MS = 7 * DAY_MS


@dataclass(frozen=True, slots=True)
class Workload:
    """Payments and labels as files of JSON lines, and a directory with a bundle.

    Attributes
    ----------
    messages
        A line `number of the input<TAB>key<TAB>value` for each record, in time order.
        Input 0 has the payments, 1 the labels; a payment's id is the line's number.
    is_payment
        (n,) bool, for each line.
    """

    messages: Path
    models: Path
    spec: Spec
    is_payment: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """How many records there are."""
        return len(self.is_payment)

    @property
    def prefix(self) -> str:
        """What the names of its figures begin with."""
        return _PREFIXES[self.spec.name]

    def cut(self, count: int) -> Workload:
        """Return a workload of the first records only."""
        return replace(self, is_payment=self.is_payment[:count])

    def payments(self, first: int, last: int) -> int:
        """Return how many of the records [first, last) are payments."""
        return int(self.is_payment[first:last].sum())

    def topology(self, group: str, names: TopicNames) -> Topology:
        """Return the topics of a group that scores these payments."""
        return Topology.of(self.spec, group, names)


def bench_spec() -> Spec:
    """Return the spec of all benchmarks: ten features, six of them windows."""
    return Spec.from_toml(_SPEC.read_text(encoding="utf-8"))


def staged_spec() -> Spec:
    """Return one of as many features and windows: customer, terminal and labels."""
    return Spec.from_toml(_STAGED_SPEC.read_text(encoding="utf-8"))


def shipped_spec() -> Spec:
    """Return the spec that is shipped: of two stages, and three times as wide."""
    return Spec.from_toml(_SHIPPED_SPEC.read_text(encoding="utf-8"))


def make_workload(directory: Path, count: int, *, spec: Spec) -> Workload:
    """Write so many payments, the labels among them, and a bundle for them."""
    directory.mkdir(exist_ok=True)
    path, labels_path = _payments(directory)
    events = read_dataset(path, spec).events.take(slice(0, max(count, _FITTED)))
    history = None
    if spec.uses_labels:
        labels = read_labels(labels_path, spec.schema, names={})
        history = label_history(
            events, labels, spec.schema, label_delay_ms=_LABEL_DELAY_MS
        )[0]
    messages = directory / "messages.tsv"
    is_payment = _write_messages(events.take(slice(0, count)), history, messages)
    models = directory / "models"
    fitted = slice(0, _FITTED)
    known = None if history is None else history.take(fitted)
    write_bundle(spec, events.take(fitted), models, history=known)
    return Workload(messages, models, spec, is_payment)


def source() -> str:
    """Return where the payments come from, for people."""
    return _given().name if _given().exists() else "simulated payments"


def _given() -> Path:
    return Path(os.environ.get("HANDBOOK", _HANDBOOK))


def _payments(directory: Path) -> tuple[Path, Path]:
    """Return the files of payments and labels."""
    if _given().exists():
        return _given(), _given()
    write_simulation(simulate(SimulationPlan()), directory, file_format="parquet")
    return directory / "transactions.parquet", directory / "labels.parquet"


def _write_messages(
    events: EventBatch, history: LabelledHistory | None, path: Path
) -> NDArray[np.bool_]:
    """Write payments, and each label before the first payment that is not older."""
    known_ms, frauds = np.zeros(0, np.int64), np.zeros(0, np.intp)
    if history is not None:
        frauds = np.flatnonzero(history.fraud[: len(events)])
        frauds = frauds[np.argsort(history.known_ms[frauds], kind="stable")]
        known_ms = history.known_ms[frauds]
    before = np.searchsorted(events.event_time_ms, known_ms, "left")
    is_heard_of = before < len(events)
    frauds, known_ms, before = (a[is_heard_of] for a in (frauds, known_ms, before))
    is_payment = np.ones(len(events) + len(frauds), np.bool_)
    is_payment[before + np.arange(len(frauds))] = False
    payments = _payment_lines(events, np.flatnonzero(is_payment).tolist())
    ids = np.flatnonzero(is_payment)[frauds].tolist()
    labels = _label_lines(events, frauds.tolist(), ids, known_ms.tolist())
    with path.open("wb") as file:
        for is_one in is_payment.tolist():
            file.write(next(payments if is_one else labels))
    return is_payment


def _payment_lines(events: EventBatch, ids: list[int]) -> Iterator[bytes]:
    customers, terminals = events.columns["customer_id"], events.columns["terminal_id"]
    amounts = (np.asarray(events.columns["amount"]) / 100).tolist()
    encode = msgspec.json.Encoder().encode
    for i, time_ms in enumerate(events.event_time_ms.tolist()):
        payment = {
            "transaction_id": str(ids[i]),
            "event_time": time_ms,
            "customer_id": customers[i],
            "terminal_id": terminals[i],
            "amount": amounts[i],
        }
        yield f"0\t{customers[i]}\t".encode() + encode(payment) + b"\n"


def _label_lines(
    events: EventBatch, rows: list[int], ids: list[int], known_ms: list[int]
) -> Iterator[bytes]:
    """Yield the labels of payments; their rows, their ids, and when it was known."""
    customers, terminals = events.columns["customer_id"], events.columns["terminal_id"]
    encode = msgspec.json.Encoder().encode
    for row, number, label_time_ms in zip(rows, ids, known_ms, strict=True):
        label = {
            "transaction_id": str(number),
            "event_time": int(events.event_time_ms[row]),
            "customer_id": customers[row],
            "terminal_id": terminals[row],
            "fraud": True,
            "label_time": label_time_ms,
        }
        yield f"1\t{number}\t".encode() + encode(label) + b"\n"


def write_bundle(
    spec: Spec,
    events: EventBatch,
    models: Path,
    *,
    history: LabelledHistory | None = None,
    trees: int = 100,
) -> None:
    """Fit so many trees of 15 leaves, and put them in use."""
    X = feature_matrix(spec, events, history=history)
    fraud = np.random.default_rng(0).random(len(X)) < 0.01 + 0.2 * (X[:, 0] > 200)
    model = HistGradientBoostingClassifier(
        max_iter=trees, max_leaf_nodes=15, early_stopping=False, random_state=0
    ).fit(X, fraud)
    times = events.event_time_ms
    window = DataWindow(int(times[0]), int(times[-1]), len(X), int(fraud.sum()))
    scores = published_scores(model.predict_proba(X)[:, 1])
    threshold = float(np.quantile(scores, 1 - _FLAGGED))
    named = zip(spec.feature_names, X.T, strict=True)
    # With it the worker counts what it scores, as it does in operation.
    reference = Reference(
        {name: measured(column, times) for name, column in named},
        score=measured(scores, times),
        flag_ratio=float(np.mean(scores >= threshold)),
    )
    make_bundle(
        models_dir=models,
        version="bench",
        spec=spec,
        model=model,
        records=events,
        history=history,
        threshold=threshold,
        metrics={},
        data_window=window,
        reference=reference,
    )
    publish(models, "bench")
