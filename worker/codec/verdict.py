"""The first problem of each row, as columns, and what is left without a problem.

Knows no field type and no encoding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worker.records import Decoded, EventBatch, Reason, Rejection

Codes = NDArray[np.uint8]

#: The reason of each code; 0 stands for "no problem".
_REASONS: tuple[Reason | None, ...] = (None, *Reason)

#: The field of a problem that is not one field's.
WHOLE_RECORD = -1


def code_of(reason: Reason | None) -> int:
    """Return the number that stands for a reason in a column; 0 for none."""
    return _REASONS.index(reason)


def code_table(*reasons: Reason | None) -> Codes:
    """Translate the statuses 0, 1, 2, ... of a kernel: `table[status]` are codes."""
    return np.array([code_of(reason) for reason in reasons], np.uint8)


class Verdict:
    """What is wrong with each of n rows; the problem that is added first stays."""

    def __init__(self, row_count: int) -> None:
        self.row_count = row_count
        self._codes: Codes | None = None
        self._fields: NDArray[np.int32] | None = None

    def add(self, codes: Codes | None, field_index: int) -> None:
        """Note the problems of one field.

        Parameters
        ----------
        codes
            (n,) by `code_of`; None says that there is no problem at all.
        field_index
            The field in declared order, or `WHOLE_RECORD`.
        """
        if codes is None or not codes.any():
            return
        if self._codes is None or self._fields is None:
            self._codes = np.zeros(self.row_count, np.uint8)
            self._fields = np.full(self.row_count, WHOLE_RECORD, np.int32)
        fresh = (self._codes == 0) & (codes != 0)
        self._codes[fresh] = codes[fresh]
        self._fields[fresh] = field_index

    def split(
        self, events: EventBatch, *, rows: NDArray[np.intp], names: Sequence[str]
    ) -> Decoded:
        """Part the events without a problem from the rest.

        Parameters
        ----------
        events
            A candidate for each of the n rows; nonsense where there is a problem.
        rows
            (n,) where each candidate stands in its batch.
        names
            Names of the fields, in declared order.
        """
        if self._codes is None or self._fields is None:
            return Decoded(events, rows, ())
        good = np.flatnonzero(self._codes == 0)
        bad = np.flatnonzero(self._codes)
        rejections = [
            rejection(int(row), int(code), int(field), names)
            for row, code, field in zip(
                rows[bad], self._codes[bad], self._fields[bad], strict=True
            )
        ]
        return Decoded(events.take(good), rows[good], rejections)


def rejection(row: int, code: int, field_index: int, names: Sequence[str]) -> Rejection:
    """Name the problem that a code stands for; the code must not be 0."""
    reason = _REASONS[code]
    assert reason is not None
    return Rejection(row, reason, None if field_index < 0 else names[field_index])
