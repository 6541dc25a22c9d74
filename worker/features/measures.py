"""One pass over a segment for each measure: its values stored, its windows computed.

The labels' pass is of its own: labels stand between the events there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.features.admitted import Admission
from worker.features.extremes import fold_extremes, store_values
from worker.features.frauds import fold_frauds
from worker.features.layout import NOT_KEPT
from worker.features.plan import FraudPlan, MeasurePlan
from worker.features.scans import fold_scans
from worker.features.state import FeatureState
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
    records, scale = admission.records, measure.scale
    span = (first, last, records)
    store = (values, state.pool, state.meta)
    if measure.value_word != NOT_KEPT:
        store_values(*span, *store, measure.value_word)
    if measure.sums is not None:
        sums = measure.sums
        fold_sums(*span, *store, measure.sum_words, sums.table, sums.empty, scale, rows)
    for extreme in measure.extremes:
        words, asked = extreme.words, extreme.operations
        fold_extremes(
            *span, *store, words, extreme.sign, asked.table, asked.empty, scale, rows
        )
    if measure.scans is not None:
        word, asked = measure.value_word, measure.scans
        fold_scans(*span, times, *store, word, asked.table, asked.empty, scale, rows)


def fold_labels(
    plan: FraudPlan,
    holds: Ints,
    times: Ints,
    state: FeatureState,
    admission: Admission,
    first: int,
    last: int,
    rows: Floats,
) -> None:
    """Do the same for labels; `holds` (n,) is MISSING where the condition fails."""
    fold_frauds(
        first,
        last,
        admission.records,
        admission.marks,
        times,
        holds,
        state.pool,
        state.meta,
        plan.words,
        plan.operations.table,
        plan.operations.empty,
        rows,
    )
