"""Counts the features and scores of a batch by the bins of the model's reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worker.codec import published_scores
from worker.drift import BinCounter, BinCounts
from worker.pipeline.folding import Part


def count_bins(
    counter: BinCounter | None,
    parts: Sequence[Part],
    X: NDArray[np.float64],
    scores: NDArray[np.float64],
    flagged: NDArray[np.bool_],
) -> list[BinCounts]:
    """Return the counts of each part; none where there is nothing to count by.

    Parameters
    ----------
    X, scores, flagged
        Of the m live events of all parts, in their order.
    """
    if counter is None:
        return []
    published = published_scores(scores)
    found: list[BinCounts] = []
    first = 0
    for part in parts:
        own = slice(first, first + part.event_count)
        first = own.stop
        found.append(counter.count(X[own], published[own], flagged[own]))
    return found
