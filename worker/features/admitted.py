"""What admission finds out about a batch, and the later passes read."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from worker.features.layout import FIRST_EDGE

Ints = NDArray[np.int64]


class Admission(NamedTuple):
    """Arrays over the n records of a batch, filled segment by segment.

    Attributes
    ----------
    marks
        (n, MARK_COLUMNS) int64, or (0, MARK_COLUMNS) where there are no labels.
    records
        (n, FIRST_EDGE + n_edges) int64.
    flags
        (n, 2) bool, late and duplicate.
    watermarks_ms
        (n,) int64.
    """

    marks: Ints
    records: Ints
    flags: NDArray[np.bool_]
    watermarks_ms: Ints

    @classmethod
    def of(cls, count: int, *, edge_count: int, marks: Ints) -> Self:
        """Return arrays for a batch."""
        return cls(
            marks,
            np.empty((count, FIRST_EDGE + edge_count), np.int64),
            np.empty((count, 2), np.bool_),
            np.empty(count, np.int64),
        )
