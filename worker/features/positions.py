"""Where an event stands among those of its key, which are in order of time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.features.kernel import kernel
from worker.features.layout import BLOCK, CAPACITY, HEAD, ID, TAIL, TIME

Ints = NDArray[np.int64]


@kernel
def upper_bound(row: Ints, pool: Ints, t: int) -> int:
    """Position behind the last of the key's events at or before t."""
    head, tail = row[HEAD], row[TAIL]
    block, mask = row[BLOCK], row[CAPACITY] - 1
    if head == tail or pool[block + ((tail - 1) & mask), TIME] <= t:
        return int(tail)
    return first_after(block, mask, pool, head, tail, t)


@kernel
def first_after(
    block: int, mask: int, pool: Ints, low: int, high: int, bound: int
) -> int:
    """First position in [low, high) whose event is after `bound`, else `high`."""
    while low < high:
        middle = (low + high) >> 1
        if pool[block + (middle & mask), TIME] <= bound:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def find_same(row: Ints, pool: Ints, end: int, t: int, identity: int) -> int:
    """Position of the event with this time and id, or -1."""
    block, mask = row[BLOCK], row[CAPACITY] - 1
    p = end - 1
    while p >= row[HEAD] and pool[block + (p & mask), TIME] == t:
        if pool[block + (p & mask), ID] == identity:
            return p
        p -= 1
    return -1
