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
from worker.features import FeatureRows, FeatureTransform, Spec
from worker.records import EventBatch

#: Rows between two signs of progress; also the row groups of the file.
ROWS_AT_ONCE = 131_072


def feature_matrix(
    spec: Spec, events: EventBatch, *, progress: ProgressCallback = quiet
) -> NDArray[np.float64]:
    """Return the features of a whole log, folded from its first event.

    X : (n, n_features) float64, columns as `spec.feature_names`, NaN where missing.
    """
    X = np.empty((len(events), len(spec.feature_names)))
    first = 0
    for _, rows in _folded(spec, events, progress):
        X[first : first + len(rows.X)] = rows.X
        first += len(rows.X)
    return X


def write_features(
    path: Path, spec: Spec, events: EventBatch, *, progress: ProgressCallback = quiet
) -> None:
    """Write transaction_id and every feature as Parquet; missing values are null.

    The file appears when it is complete.
    """
    fields = [pa.field(name, pa.float64()) for name in spec.feature_names]
    schema = pa.schema([pa.field(spec.schema.transaction_id, pa.string()), *fields])
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with pyarrow.parquet.ParquetWriter(partial, schema) as writer:
            for part, rows in _folded(spec, events, progress):
                writer.write_batch(_record_batch(schema, part, rows))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _folded(
    spec: Spec, events: EventBatch, progress: ProgressCallback
) -> Iterator[tuple[EventBatch, FeatureRows]]:
    """Yield the log part by part, with the rows that follow from all before it."""
    transform = FeatureTransform(spec)
    state = transform.new_state()
    for first in range(0, len(events), ROWS_AT_ONCE):
        part = events.take(slice(first, first + ROWS_AT_ONCE))
        yield part, transform.transform(part, state)
        progress(first + len(part), len(events))


def _record_batch(
    schema: pa.Schema, part: EventBatch, rows: FeatureRows
) -> pa.RecordBatch:
    columns = [pa.array(column, from_pandas=True) for column in rows.X.T]
    ids = pa.array(part.transaction_ids, pa.string())
    return pa.record_batch([ids, *columns], schema=schema)
