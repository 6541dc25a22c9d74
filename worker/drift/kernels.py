"""The kernel that counts values by bin; linear, since a baseline has nine edges."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def count_parts(
    X: NDArray[np.float64],
    scores: NDArray[np.float64],
    flagged: NDArray[np.bool_],
    ends: NDArray[np.int64],
    baselines: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]],
    cells: NDArray[np.int64],
    sums: NDArray[np.float64],
) -> None:
    """Add each value of (n, k) X, and each score, to the cell of its part.

    Part p has the rows before ends[p] that no earlier part has, and row p of cells and
    of sums: those of the scores that pass, then of the flagged ones.

    baselines : edges, firsts and limits. Column c has the edges [firsts[c],
    firsts[c + 1]), hence so many bins and one more, and two cells behind them: no
    value, and one below limits[c, 0] or above limits[c, 1]. The score is the column
    behind those of X.
    """
    edges, firsts, limits = baselines
    row, width = 0, X.shape[1]
    for part in range(ends.shape[0]):
        while row < ends[part]:
            for column in range(width + 1):
                value = X[row, column] if column < width else scores[row]
                first, last = firsts[column], firsts[column + 1]
                cell = first + 3 * column
                if np.isnan(value):
                    cell += last - first + 1
                elif value < limits[column, 0] or value > limits[column, 1]:
                    cell += last - first + 2
                else:
                    for edge in range(first, last):
                        cell += value > edges[edge]
                cells[part, cell] += 1
            sums[part, 1 if flagged[row] else 0] += scores[row]
            row += 1
