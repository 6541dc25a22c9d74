"""Measures what live values will be compared with, from training and evaluation.

Owns the choice of bins, and what undrifted data look like over a window: how much more
their PSI spreads than that of independent draws, and over which windows they look like
themselves at all. The hour of the day does not within an hour.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from training.fit import Evaluation, Prepared
from training.split import Windows
from worker.drift import (
    MAX_BINS,
    WINDOWS,
    Baseline,
    Reference,
    bin_count,
    critical_factor,
    null_mean,
    psi,
    slot_counts,
)
from worker.features import Spec

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: The smallest share of values in a bin. Of 500, half a value is expected there, and
#: fifteen are worth an alert: chance does not bring them.
LEAST_SHARE = 0.001

#: Values in a window below which it says nothing of its length.
LEAST_ROWS = 100

#: A window is long enough when at most this share of undrifted ones exceeds what
#: chance explains by more than the PSI that an alert asks for.
FALSE_ALARMS, ALERT_PSI = 0.01, 0.1

#: The last window may end so much before its time: events come when they like.
_GRACE_MS = 300_000


def measure_reference(
    spec: Spec, data: Prepared, done: Evaluation, scores: Floats
) -> Reference:
    """Return the reference of a model: features from training, scores from evaluation.

    The scores of what a model has learnt from are better than any that it will give,
    so the forecast is that of the week after the gap.

    Parameters
    ----------
    scores
        Published, of all transactions of the evaluation.
    """
    times = data.events.event_time_ms
    train_times = times[done.train]
    X = data.X[done.train]
    return Reference(
        features={
            name: measured(column, train_times)
            for name, column in zip(spec.feature_names, X.T, strict=True)
        },
        score=measured(scores, times[_evaluated(times, done.windows)]),
        flag_ratio=float(np.mean(scores >= done.alerts.threshold)),
    )


def measured(values: Floats, times_ms: Integers) -> Baseline:
    """Return the baseline of (n,) values at times in ascending order."""
    baseline = binned(values)
    whole_ms = int(times_ms[-1] - times_ms[0]) + 1
    effects: list[float] = []
    sensible: list[int] = []
    for seconds in WINDOWS.values():
        counts = _counts_by_window(values, times_ms, baseline, seconds * 1000)
        effect, is_sensible = _against_chance(baseline, counts)
        effects.append(effect)
        if is_sensible and (seconds * 1000 <= whole_ms or not sensible):
            sensible.append(seconds)
    return replace(
        baseline,
        design_effects=tuple(effects),
        min_window_seconds=min(sensible, default=0),
    )


def binned(values: Floats) -> Baseline:
    """Return bins of about equal shares, and how many of (n,) values lie in each.

    An edge is a value that occurs, so equal values share a bin; a bin with less than
    the least share joins the next one.
    """
    present = np.sort(values[~np.isnan(values)])
    if not len(present):
        # Nothing lies between these limits, so any value will be unknown.
        return Baseline((), 1.0, 0.0, (0, len(values), 0))
    shares = np.arange(1, MAX_BINS) / MAX_BINS
    candidates = np.unique(np.quantile(present, shares, method="inverted_cdf"))
    edges: list[float] = []
    filled = 0
    least_count = LEAST_SHARE * len(present)
    for edge in candidates.tolist():
        below = int(np.searchsorted(present, edge, "right"))
        if min(below - filled, len(present) - below) >= max(least_count, 1):
            edges.append(edge)
            filled = below
    empty = (0,) * (len(edges) + 3)
    baseline = Baseline(tuple(edges), float(present[0]), float(present[-1]), empty)
    return replace(baseline, counts=tuple(slot_counts(values, baseline).tolist()))


def _against_chance(baseline: Baseline, counts: Integers) -> tuple[float, bool]:
    """Return the design effect, and whether undrifted windows look undrifted."""
    counts = counts[counts.sum(1) >= LEAST_ROWS]
    freedom = bin_count(baseline.ratios) - 1
    if not len(counts) or freedom == 0:
        return 1.0, True
    found = psi(counts, baseline.ratios)
    expected = null_mean(counts.sum(1), baseline)
    effect = max(1.0, float(found.mean() / expected.mean()))
    excess = found - expected * critical_factor(freedom)
    return effect, float(np.mean(excess > ALERT_PSI)) <= FALSE_ALARMS


def _counts_by_window(
    values: Floats, times_ms: Integers, baseline: Baseline, window_ms: int
) -> Integers:
    """Return (w, slots) counts of consecutive windows, without a last one cut short."""
    number = (times_ms - times_ms[0]) // window_ms
    whole = max(1, int(times_ms[-1] + _GRACE_MS - times_ms[0]) // window_ms)
    edges = np.searchsorted(number, range(1, whole))
    parts = np.split(values[: np.searchsorted(number, whole)], edges)
    return np.array([slot_counts(part, baseline) for part in parts])


def _evaluated(times_ms: Integers, windows: Windows) -> slice:
    bounds = [windows.test_first_ms, windows.test_until_ms]
    start, stop = np.searchsorted(times_ms, bounds)
    return slice(int(start), int(stop))
