"""The flags of an event on its way between two stages: a bit each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LATE, _DUPLICATE, _INCOMPLETE = 1, 2, 4

Bools = NDArray[np.bool_]


def pack_flags(late: Bools, duplicate: Bools, incomplete: Bools) -> NDArray[np.uint8]:
    """Return (n,) the flags of events, as the next stage reads them."""
    bits = _LATE * late + _DUPLICATE * duplicate + _INCOMPLETE * incomplete
    packed: NDArray[np.uint8] = bits.astype(np.uint8)
    return packed


def unpack_flags(flags: NDArray[np.uint8]) -> tuple[Bools, Bools, Bools]:
    """Return what was packed: late, duplicate, incomplete."""
    return (
        (flags & _LATE) != 0,
        (flags & _DUPLICATE) != 0,
        (flags & _INCOMPLETE) != 0,
    )
