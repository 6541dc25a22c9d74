"""Freeing keys that hold nothing any more, a few at a time, and entering keys anew.

A key without live events and labels equals a key never seen, so when it is freed can
never be observed: only memory tells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.features.blocks import expire, release_block
from worker.features.kernel import kernel
from worker.features.layout import (
    BLOCK,
    CAPACITY,
    FREE,
    FREE_SLOT,
    HEAD,
    KEY_HIGH,
    KEY_LOW,
    KEYS,
    SLOTS_USED,
    SWEPT,
    TAIL,
)
from worker.features.slots import enter, slot_hash
from worker.features.waiting import expire_waiting

Ints = NDArray[np.int64]


@kernel
def sweep(
    slots: int,
    table: Ints,
    meta: Ints,
    pool: Ints,
    free: Ints,
    waiting: Ints,
    scalars: Ints,
) -> None:
    """Look at that many slots, from where the last sweep ended."""
    used = scalars[SLOTS_USED]
    for _ in range(min(slots, used)):
        slot = scalars[SWEPT] if scalars[SWEPT] < used else 0
        scalars[SWEPT] = slot + 1
        if meta[slot, TAIL] == FREE:
            continue
        expire(slot, meta, pool, scalars)
        labels = expire_waiting(meta[slot], waiting, scalars)
        if meta[slot, HEAD] == meta[slot, TAIL] and not labels:
            if meta[slot, CAPACITY]:
                release_block(meta[slot, BLOCK], meta[slot, CAPACITY], pool, free)
            _remove(slot, table, meta)
            meta[slot, TAIL] = FREE
            meta[slot, KEY_LOW] = scalars[FREE_SLOT]
            scalars[FREE_SLOT] = slot
            scalars[KEYS] -= 1


@kernel
def _remove(slot: int, table: Ints, meta: Ints) -> None:
    """Take a slot out of the table, closing the gap (no tombstones).

    Source: Knuth, The Art of Computer Programming 3, 6.4, algorithm R.
    """
    mask = table.shape[0] - 1
    hole = _home(slot, meta) & mask
    while table[hole] != slot + 1:
        hole = (hole + 1) & mask
    place = hole
    while True:
        place = (place + 1) & mask
        if table[place] == 0:
            break
        home = _home(table[place] - 1, meta) & mask
        if (place - home) & mask >= (place - hole) & mask:
            table[hole] = table[place]
            hole = place
    table[hole] = 0


@kernel
def _home(slot: int, meta: Ints) -> int:
    return slot_hash(np.uint64(meta[slot, KEY_LOW]), np.uint64(meta[slot, KEY_HIGH]))


@kernel
def enter_all(table: Ints, meta: Ints, scalars: Ints) -> None:
    """Enter every key into an empty table."""
    for slot in range(scalars[SLOTS_USED]):
        if meta[slot, TAIL] != FREE:
            enter(slot, table, meta)
