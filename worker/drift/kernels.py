"""The kernel that counts values by bin; linear, since a baseline has nine edges."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def count_cells(
    X: NDArray[np.float64],
    edges: NDArray[np.float64],
    firsts: NDArray[np.int64],
    least: NDArray[np.float64],
    greatest: NDArray[np.float64],
    cells: NDArray[np.int64],
) -> None:
    """Add each value of (n, k) X to the cell that it belongs to.

    Column c has the edges [firsts[c], firsts[c + 1]), hence so many bins and one more,
    and two cells behind them: no value, and one beyond least or greatest.
    """
    for row in range(X.shape[0]):
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
            cells[cell] += 1
