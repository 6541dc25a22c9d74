"""The table of keys: from a packed key to its slot.

Open addressing with linear probing; an entry is slot + 1, and 0 is empty.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.features.kernel import kernel
from worker.features.keys import finalize
from worker.features.layout import (
    FREE_SLOT,
    KEY_HIGH,
    KEY_LIMIT,
    KEY_LOW,
    KEYS,
    MAX_KEYS,
    SLOTS_FULL,
    SLOTS_USED,
    STATUS,
)

Ints = NDArray[np.int64]


@kernel
def slot_hash(low: np.uint64, high: np.uint64) -> int:
    """Spread a key over the table: 63 bits."""
    mixed = finalize(low ^ finalize(high))
    return int(mixed >> np.uint64(1))


@kernel
def find_slot(low: np.uint64, high: np.uint64, table: Ints, meta: Ints) -> int:
    """Slot of a key, or -1. Linear probing; an entry is slot + 1, 0 is empty."""
    mask = table.shape[0] - 1
    place = slot_hash(low, high) & mask
    while table[place] != 0:
        slot = table[place] - 1
        if (
            np.uint64(meta[slot, KEY_LOW]) == low
            and np.uint64(meta[slot, KEY_HIGH]) == high
        ):
            return int(slot)
        place = (place + 1) & mask
    return -1


@kernel
def take_slot(
    low: np.uint64, high: np.uint64, table: Ints, meta: Ints, scalars: Ints
) -> int:
    """Give a new key a slot; -1, with STATUS, where there is no room."""
    if scalars[KEYS] >= scalars[MAX_KEYS]:
        scalars[STATUS] = KEY_LIMIT
        return -1
    slot = scalars[FREE_SLOT]
    if 2 * (scalars[KEYS] + 1) > table.shape[0] or (
        slot < 0 and scalars[SLOTS_USED] == meta.shape[0]
    ):
        scalars[STATUS] = SLOTS_FULL
        return -1
    if slot >= 0:
        scalars[FREE_SLOT] = meta[slot, KEY_LOW]
    else:
        slot = scalars[SLOTS_USED]
        scalars[SLOTS_USED] += 1
    meta[slot, :] = 0
    meta[slot, KEY_LOW] = np.int64(low)
    meta[slot, KEY_HIGH] = np.int64(high)
    scalars[KEYS] += 1
    enter(slot, table, meta)
    return int(slot)


@kernel
def enter(slot: int, table: Ints, meta: Ints) -> None:
    """Enter a slot into the table."""
    mask = table.shape[0] - 1
    low, high = np.uint64(meta[slot, KEY_LOW]), np.uint64(meta[slot, KEY_HIGH])
    place = slot_hash(low, high) & mask
    while table[place] != 0:
        place = (place + 1) & mask
    table[place] = slot + 1
