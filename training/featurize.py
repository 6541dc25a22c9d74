"""Features of history, by the transform that the worker runs on the stream.

Owns the file of features. Computes nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from training.progress import ProgressCallback, quiet
from training.split import LabelledHistory
from worker.errors import InvalidConfig
from worker.features import FeatureRows, HistoryTransform, Spec
from worker.records import EventBatch, LabelBatch

#: Rows between two signs of progress; also the row groups of the file.
ROWS_AT_ONCE = 131_072


def feature_matrix(
    spec: Spec,
    events: EventBatch,
    *,
    history: LabelledHistory | None = None,
    progress: ProgressCallback = quiet,
) -> NDArray[np.float64]:
    """Return the features of a whole log, folded from its first event.

    X : (n, n_features) float64, columns as `spec.feature_names`, NaN where missing.

    Parameters
    ----------
    history
        The same n events with their labels, where the spec looks at labels.

    Raises
    ------
    InvalidConfig
        Where the spec looks at labels and there are none.
    """
    X = np.empty((len(events), len(spec.feature_names)))
    first = 0
    for _, rows in _folded(spec, events, history, progress):
        X[first : first + len(rows.X)] = rows.X
        first += len(rows.X)
    return X


def write_features(
    path: Path,
    spec: Spec,
    events: EventBatch,
    *,
    history: LabelledHistory | None = None,
    progress: ProgressCallback = quiet,
) -> None:
    """Write transaction_id and every feature as Parquet; missing values are null.

    The file appears when it is complete. Parameters and errors are those of
    `feature_matrix`.
    """
    fields = [pa.field(name, pa.float64()) for name in spec.feature_names]
    schema = pa.schema([pa.field(spec.schema.transaction_id, pa.string()), *fields])
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with pyarrow.parquet.ParquetWriter(partial, schema) as writer:
            for part, rows in _folded(spec, events, history, progress):
                writer.write_batch(_record_batch(schema, part, rows))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _folded(
    spec: Spec,
    events: EventBatch,
    history: LabelledHistory | None,
    progress: ProgressCallback,
) -> Iterator[tuple[EventBatch, FeatureRows]]:
    """Yield the log part by part, with the rows that follow from all before it."""
    labels = _known_frauds(spec, events, history)
    transform = HistoryTransform(spec)
    for first in range(0, len(events), ROWS_AT_ONCE):
        part = events.take(slice(first, first + ROWS_AT_ONCE))
        last = first + len(part)
        own = {stage: _between(batch, first, last) for stage, batch in labels.items()}
        yield part, transform.transform(part, own)
        progress(last, len(events))


def _known_frauds(
    spec: Spec, events: EventBatch, history: LabelledHistory | None
) -> dict[int, LabelBatch]:
    """Return each stage's labels, where the stream would have had them.

    Only frauds: what nobody has labelled is genuine.
    """
    stages = [i for i in range(len(spec.entities)) if spec.stage_uses_labels(i)]
    if not stages:
        return {}
    if history is None:
        raise InvalidConfig([f"{spec.name!r} looks at labels; give them too"])
    rows = np.flatnonzero(history.fraud)
    rows = rows[np.argsort(history.known_ms[rows], kind="stable")]
    known_ms = history.known_ms[rows]
    frauds = events.take(rows)
    before = np.searchsorted(events.event_time_ms, known_ms, "left")
    return {
        stage: LabelBatch(
            frauds.transaction_ids,
            frauds.event_time_ms,
            frauds.columns[spec.entities[stage].key],
            np.ones(len(rows), np.bool_),
            known_ms,
            before.astype(np.int64),
        )
        for stage in stages
    }


def _between(labels: LabelBatch, first: int, last: int) -> LabelBatch:
    """Return the labels that stand behind event `first` and not behind `last`."""
    begin = np.searchsorted(labels.before, first, "right") if first else 0
    end = np.searchsorted(labels.before, last, "right")
    return labels.take(slice(int(begin), int(end)), event_shift=first)


def _record_batch(
    schema: pa.Schema, part: EventBatch, rows: FeatureRows
) -> pa.RecordBatch:
    columns = [pa.array(column, from_pandas=True) for column in rows.X.T]
    ids = pa.array(part.transaction_ids, pa.string())
    return pa.record_batch([ids, *columns], schema=schema)
