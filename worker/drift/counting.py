"""Counts the values of a batch by the bins of the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.drift.kernels import count_parts
from worker.drift.reference import Baseline, Reference


class BinCounts(NamedTuple):
    """What some scored events add to the counters.

    `cells` (n_cells,) int64 in the order of `BinCounter.labels`; the sums are those of
    the published scores. `example` looks for the missing or unknown values that are
    rarest in training: their cell, and the row of the first; None where there are none.
    """

    cells: NDArray[np.int64]
    flagged_score_sum: float
    passed_score_sum: float
    example: Callable[[], tuple[int, int] | None] = lambda: None


class BinCounter:
    """Counts by the bins of one reference; the kernel is compiled here.

    Attributes
    ----------
    labels
        Of each cell: the feature, or what stands for the score, and the slot.
    """

    def __init__(self, reference: Reference):
        self.labels = [
            (name, slot)
            for name, baseline in reference.baselines
            for slot in baseline.slots
        ]
        features = list(reference.features.values())
        self._columns = _Columns([*features, reference.score])
        self._watched = _rarest_first(features)
        self.count(
            np.empty((0, len(reference.features))), np.empty(0), np.empty(0, "?")
        )

    def count(
        self,
        X: NDArray[np.float64],
        scores: NDArray[np.float64],
        flagged: NDArray[np.bool_],
    ) -> BinCounts:
        """Count n scored events.

        Parameters
        ----------
        X
            (n, n_features) float64.
        scores, flagged
            (n,) the scores as published, and which of them are flagged.
        """
        return self.count_parts(X, scores, flagged, [len(X)])[0]

    def count_parts(
        self,
        X: NDArray[np.float64],
        scores: NDArray[np.float64],
        flagged: NDArray[np.bool_],
        ends: Sequence[int],
    ) -> list[BinCounts]:
        """Count n scored events, those up to each of the ends by themselves."""
        columns, parts = self._columns, len(ends)
        cells = np.zeros((parts, columns.cell_count), np.int64)
        sums = np.zeros((parts, 2))
        rows_until = np.array(ends, np.int64)
        columns.count(X, scores, flagged, rows_until, cells, sums)
        return [
            BinCounts(own, of_flagged, of_passed, partial(self._example, X[span], own))
            for own, span, (of_passed, of_flagged) in zip(
                cells, map(slice, [0, *ends], ends), sums.tolist(), strict=False
            )
        ]

    def _example(
        self, X: NDArray[np.float64], cells: NDArray[np.int64]
    ) -> tuple[int, int] | None:
        filled = cells[self._watched] > 0
        first = int(filled.argmax())
        if not filled[first]:
            return None
        cell = int(self._watched[first])
        return cell, self._columns.first_row(X, cell)


class _Columns:
    """Baselines of k columns, the last of them the score's, as the kernel takes them.

    Attributes
    ----------
    cell_count
        Of all the columns.
    """

    def __init__(self, baselines: Sequence[Baseline]):
        sizes = [len(baseline.edges) for baseline in baselines]
        firsts = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
        self._limits = np.array([(b.least, b.greatest) for b in baselines])
        edges = np.array([edge for b in baselines for edge in b.edges], float)
        self._baselines = edges, firsts, self._limits
        self._unknown = firsts[1:] + 3 * np.arange(len(sizes)) + 2
        self.cell_count = sum(sizes) + 3 * len(sizes)

    def count(
        self,
        X: NDArray[np.float64],
        scores: NDArray[np.float64],
        flagged: NDArray[np.bool_],
        ends: NDArray[np.int64],
        cells: NDArray[np.int64],
        sums: NDArray[np.float64],
    ) -> None:
        """Count the rows of each part in its row of cells and of sums."""
        rows = np.ascontiguousarray(X)
        count_parts(rows, scores, flagged, ends, self._baselines, cells, sums)

    def first_row(self, X: NDArray[np.float64], cell: int) -> int:
        """Return the first row that was counted in a cell of missing or unknown."""
        column = int(np.searchsorted(self._unknown, cell))
        values = X[:, column]
        if cell == self._unknown[column]:
            least, greatest = self._limits[column]
            return int(((values < least) | (values > greatest)).argmax())
        return int(np.isnan(values).argmax())


def _rarest_first(baselines: Sequence[Baseline]) -> NDArray[np.intp]:
    """Return the cells of missing and unknown values, by their shares in training."""
    ends = np.cumsum([len(baseline.slots) for baseline in baselines])
    cells = np.concatenate((ends - 2, ends - 1)).astype(np.intp)
    shares = [baseline.ratios[slot] for slot in (-2, -1) for baseline in baselines]
    return cells[np.argsort(shares, kind="stable")]
