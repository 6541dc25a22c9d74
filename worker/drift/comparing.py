"""How far counts lie from a reference, and how far chance alone would bring them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.drift.reference import Baseline

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Shares below it do not count as a bin for the null law: nothing is expected there.
RARE_SHARE = 1e-4

#: Standard deviations of the null law that chance is granted.
_SIGMAS = 4.0


def psi(counts: Integers | Floats, ratios: Floats) -> Floats:
    """Return (w,) population stability indices of (w, slots) counts.

    Half a value for each bin that is not rare is added in the reference's shares,
    which changes nothing for what looks like the reference and keeps a few values
    from looking like drift.
    """
    pseudo = 0.5 * bin_count(ratios)
    shares = (counts + pseudo * ratios) / (counts.sum(1, keepdims=True) + pseudo)
    found: Floats = ((shares - ratios) * np.log(shares / ratios)).sum(1)
    return found


def null_mean(rows: Integers, baseline: Baseline) -> Floats:
    """Return (w,) mean PSI of so many independent draws from the reference.

    Source: Yurdakul, B. (2018), Statistical Properties of Population Stability Index.
    """
    freedom = bin_count(baseline.ratios) - 1
    mean: Floats = freedom * (1 / rows + 1 / baseline.rows)
    return mean


def critical_factor(freedom: int, sigmas: float = _SIGMAS) -> float:
    """Return the quantile of a chi-square law as a multiple of its mean.

    Source: Wilson, E. B. and Hilferty, M. M. (1931), The distribution of chi-square.
    """
    spread = 2 / (9 * freedom)
    return float((1 - spread + sigmas * np.sqrt(spread)) ** 3)


def bin_count(ratios: Floats) -> int:
    """Return how many slots are not rare."""
    return int(np.count_nonzero(ratios > RARE_SHARE))
