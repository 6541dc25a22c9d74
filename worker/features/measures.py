"""One pass over a segment for each measure: its values stored, its windows computed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.features.extremes import fold_extremes, store_values
from worker.features.layout import NOT_KEPT
from worker.features.plan import MeasurePlan
from worker.features.scans import fold_scans
from worker.features.state import Admission, FeatureState
from worker.features.sums import fold_sums

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def fold_measure(
    measure: MeasurePlan,
    values: Ints,
    times: Ints,
    state: FeatureState,
    admission: Admission,
    first: int,
    last: int,
    rows: Floats,
) -> None:
    """Store a segment's values of one measure, and compute all its windows.

    values, times : (n,) int64. rows : (n, n_declared) float64; rows [first, last) of
    the measure's columns are written.
    """
    records, pool, meta, scale = (
        admission.records,
        state.pool,
        state.meta,
        measure.scale,
    )
    if measure.value_word != NOT_KEPT:
        store_values(first, last, records, values, pool, meta, measure.value_word)
    if measure.sums is not None:
        fold_sums(
            first,
            last,
            records,
            values,
            pool,
            meta,
            measure.sum_words,
            measure.sums.table,
            measure.sums.empty,
            scale,
            rows,
        )
    for extreme in measure.extremes:
        fold_extremes(
            first,
            last,
            records,
            values,
            pool,
            meta,
            extreme.words,
            extreme.sign,
            extreme.operations.table,
            extreme.operations.empty,
            scale,
            rows,
        )
    if measure.scans is not None:
        fold_scans(
            first,
            last,
            records,
            times,
            values,
            pool,
            meta,
            measure.value_word,
            measure.scans.table,
            measure.scans.empty,
            scale,
            rows,
        )
