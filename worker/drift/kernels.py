"""The kernel that counts values by bin; linear, since a baseline has nine edges."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def count_cells(
    X: NDArray[np.float64],
    ends: NDArray[np.int64],
    edges: NDArray[np.float64],
    firsts: NDArray[np.int64],
    least: NDArray[np.float64],
    greatest: NDArray[np.float64],
    cells: NDArray[np.int64],
) -> None:
    """Add each value of (n, k) X to the cell that it belongs to, of its part.

    Part p has the rows before ends[p] that no earlier part has, and row p of cells.
    Column c has the edges [firsts[c], firsts[c + 1]), hence so many bins and one more,
    and two cells behind them: no value, and one beyond least or greatest.
    """
    row = 0
    for part in range(ends.shape[0]):
        while row < ends[part]:
            for column in range(X.shape[1]):
                value = X[row, column]
                first, last = firsts[column], firsts[column + 1]
                cell = first + 3 * column
                if np.isnan(value):
                    cell += last - first + 1
                elif value < least[column] or value > greatest[column]:
                    cell += last - first + 2
                else:
                    for edge in range(first, last):
                        cell += value > edges[edge]
                cells[part, cell] += 1
            row += 1


@njit(cache=True)
def sum_scores(
    scores: NDArray[np.float64],
    flagged: NDArray[np.bool_],
    ends: NDArray[np.int64],
    sums: NDArray[np.float64],
) -> None:
    """Add each part's scores to its row of sums: passed, then flagged ones."""
    row = 0
    for part in range(ends.shape[0]):
        while row < ends[part]:
            sums[part, 1 if flagged[row] else 0] += scores[row]
            row += 1
