"""Times of records between two stages, read ahead of everything else in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worker.codec.forwarding import EVENT, HEAD
from worker.records import MISSING

_DTYPE = np.dtype(HEAD)


class ForwardedTimes:
    """Reads nothing but the times of events.

    Labels have none that would tell how far a log is: they come to it by fewer stages,
    hence earlier than the payments that were handed on with them.
    """

    def read(
        self, values: Sequence[bytes | None], _: Sequence[int]
    ) -> NDArray[np.int64]:
        """Return (n,) times in ms; `MISSING` where a record is no event."""
        size = _DTYPE.itemsize
        starts = [(value or b"")[:size] for value in values]
        joined = b"".join(starts)
        if len(joined) < size * len(starts):
            # None that a stage wrote; reading on is what refuses it.
            joined = b"".join([start.ljust(size, b"\0") for start in starts])
        heads = np.frombuffer(joined, _DTYPE)
        times: NDArray[np.int64] = np.where(
            heads["kind"] == EVENT, heads["event_time"], MISSING
        )
        return times
