"""Counts the features and scores of a batch by the bins of the model's reference."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from worker.drift import BinCounter, BinCounts
from worker.pipeline.folding import Part


def count_bins(
    counter: BinCounter | None,
    parts: Sequence[Part],
    X: NDArray[np.float64],
    published: NDArray[np.float64],
    flagged: NDArray[np.bool_],
) -> list[BinCounts]:
    """Return the counts of each part; none where there is nothing to count by.

    Parameters
    ----------
    X, published, flagged
        Of the m live events of all parts, in their order.
    """
    if counter is None:
        return []
    ends = list(accumulate(part.event_count for part in parts))
    return counter.count_parts(X, published, flagged, ends)
