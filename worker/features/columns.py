"""Event and derived features: one value per event from values of the same event."""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from worker.features.declarations import (
    Comparison,
    DerivedFeature,
    EventFeature,
    Operation,
)
from worker.records import MAX_MAGNITUDE, MISSING, Field

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Processors differ in the last bit of a logarithm; rounded, their rows are equal.
_LOG_DECIMALS = 9

_COMPARISONS: dict[Comparison, Callable[[Floats, float], NDArray[np.bool_]]] = {
    Comparison.ABOVE: operator.gt,
    Comparison.AT_LEAST: operator.ge,
    Comparison.BELOW: operator.lt,
    Comparison.AT_MOST: operator.le,
    Comparison.EQUALS: operator.eq,
}


def event_column(values: Ints, field: Field, feature: EventFeature) -> Floats:
    """Return an event feature, (n,) float64; missing values are NaN."""
    decimals = field.decimals if field.type == "decimal" else 0
    column = np.where(values == MISSING, np.nan, values / 10.0**decimals)
    if feature.clip is not None:
        column = np.clip(column, *feature.clip)
    if feature.round_to is not None:
        column = np.rint(column / feature.round_to) * feature.round_to
    if feature.log:
        column = np.round(np.log1p(np.maximum(column, 0.0)), _LOG_DECIMALS)
    return column


def derived_column(inputs: list[Floats], feature: DerivedFeature) -> Floats:
    """Return a derived feature, (n,) float64.

    A ratio over zero is missing; so is whatever a missing value enters, but for
    conditions, which it never satisfies.
    """
    if feature.operation is Operation.CONDITION:
        assert feature.comparison is not None
        assert feature.threshold is not None
        holds = _COMPARISONS[feature.comparison](inputs[0], feature.threshold)
        return holds.astype(np.float64)
    if feature.operation is Operation.DIFFERENCE:
        column = inputs[0] - inputs[1]
    else:
        divisor = np.where(inputs[1] == 0.0, np.nan, inputs[1])
        column = inputs[0] / divisor
    if feature.decimals is None:
        return column
    scale = 10.0**feature.decimals
    limit = float(MAX_MAGNITUDE)
    return np.clip(np.rint(column * scale), -limit, limit) / scale


def to_integers(column: Floats, decimals: int) -> Ints:
    """Turn a rounded column into integers of 10**-decimals; NaN becomes MISSING."""
    scaled = np.rint(column * 10.0**decimals)
    missing = np.isnan(scaled)
    integers = np.where(missing, 0.0, scaled).astype(np.int64)
    integers[missing] = MISSING
    return integers
