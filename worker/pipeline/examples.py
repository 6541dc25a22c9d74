"""Payments that stand for what is counted: where they lie, not what they say.

They are looked for only where somebody asks, so that they cost nothing per event.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.drift import BinCounts
from worker.pipeline.folding import LiveEvents
from worker.records import RecordBatch


class Payment(NamedTuple):
    """Where a payment lies in the topic of the transactions."""

    partition: int
    offset: int


class Examples(NamedTuple):
    """Payments of a part that were scored; None where there is none of that kind.

    Attributes
    ----------
    late
        The first that was.
    absent
        The first with a missing or unknown value, and the cell that it was counted in.
    oldest
        The one whose record is oldest, and when that was recorded, ms.
    """

    late: Payment | None = None
    absent: tuple[Payment, int] | None = None
    oldest: tuple[Payment, int] | None = None


def examples_of(
    records: RecordBatch,
    live: LiveEvents,
    own: slice,
    timestamps_ms: NDArray[np.int64],
    bins: BinCounts | None,
) -> Examples:
    """Choose among the live events `own`, whose records have these timestamps."""
    if not len(timestamps_ms):
        return Examples()

    def payment(row: int) -> Payment:
        event = own.start + row
        if live.earlier is not None:
            origins = live.earlier.origins
            return Payment(int(origins.partitions[event]), int(origins.offsets[event]))
        place = int(live.rows[event])
        return Payment(records.partitions[place], records.offsets[place])

    late = int(live.late[own].argmax())
    oldest = int(timestamps_ms.argmin())
    at_ms = int(timestamps_ms[oldest])
    found = None if bins is None else bins.example()
    return Examples(
        late=payment(late) if live.late[own.start + late] else None,
        absent=None if found is None else (payment(found[1]), found[0]),
        oldest=None if at_ms < 0 else (payment(oldest), at_ms),
    )
