"""A 64-bit digest of each feature row, so that an audit needs no features carried."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.features.kernel import kernel
from worker.features.keys import finalize

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

#: All missing values count as one, whatever their NaN's payload.
_MISSING_BITS = np.uint64(0x7FF8000000000000)


def row_digests(X: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return a digest of each row's bits.

    Parameters
    ----------
    X
        (n, n_features) float64. -0.0 and 0.0 differ; every NaN is the same.

    Returns
    -------
    NDArray
        (n,) uint64.
    """
    digests = np.empty(X.shape[0], np.uint64)
    _digest_rows(np.ascontiguousarray(X).view(np.uint64), np.isnan(X), digests)
    return digests


@kernel
def _digest_rows(
    bits: NDArray[np.uint64], missing: NDArray[np.bool_], digests: NDArray[np.uint64]
) -> None:
    for i in range(bits.shape[0]):
        state = np.uint64(bits.shape[1])
        for j in range(bits.shape[1]):
            word = _MISSING_BITS if missing[i, j] else bits[i, j]
            state = finalize((state ^ word) + _MULTIPLIER)
        digests[i] = state
