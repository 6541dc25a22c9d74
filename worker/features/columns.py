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
    column = _coarser(to_floats(values, field), feature)
    if feature.log:
        logs: Floats = np.log1p(np.maximum(column, 0.0))
        column = np.round(logs, _LOG_DECIMALS)
    return column


def to_floats(values: Ints, field: Field) -> Floats:
    """Return a field's values in its own unit; missing values are NaN."""
    decimals = field.decimals if field.type == "decimal" else 0
    column: Floats = np.where(values == MISSING, np.nan, values / 10.0**decimals)
    return column


def derived_column(inputs: list[Floats], feature: DerivedFeature) -> Floats:
    """Return a derived feature, (n,) float64.

    A ratio over zero is missing, a shrunk mean of nothing is its prior. What a missing
    value enters is missing too, but for conditions, which it never satisfies.
    """
    if feature.operation is Operation.CONDITION:
        assert feature.comparison is not None
        assert feature.threshold is not None
        holds = _COMPARISONS[feature.comparison](inputs[0], feature.threshold)
        return holds.astype(np.float64)
    column = _coarser(_combined(inputs, feature), feature)
    if feature.decimals is None:
        return column
    scale = 10.0**feature.decimals
    limit = float(MAX_MAGNITUDE)
    return np.clip(np.rint(column * scale), -limit, limit) / scale


def _combined(inputs: list[Floats], feature: DerivedFeature) -> Floats:
    first, second = inputs
    if feature.operation is Operation.DIFFERENCE:
        return first - second
    if feature.operation is Operation.RATIO:
        return first / np.where(second == 0.0, np.nan, second)
    assert feature.prior is not None
    assert feature.strength is not None
    # Without events there is no mean, and nothing but the prior.
    total = np.where(second == 0.0, 0.0, first * second)
    return (total + feature.prior * feature.strength) / (second + feature.strength)


def _coarser(column: Floats, feature: EventFeature | DerivedFeature) -> Floats:
    if feature.clip is not None:
        column = np.clip(column, *feature.clip)
    if feature.round_to is not None:
        column = np.rint(column / feature.round_to) * feature.round_to
    return column


def to_integers(column: Floats, decimals: int) -> Ints:
    """Turn a rounded column into integers of 10**-decimals; NaN becomes MISSING."""
    scaled = np.rint(column * 10.0**decimals)
    missing = np.isnan(scaled)
    integers = np.where(missing, 0.0, scaled).astype(np.int64)
    integers[missing] = MISSING
    return integers
