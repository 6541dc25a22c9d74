"""Blocks of rows: where the events of each key lie, in rings that grow by doubling."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.features.kernel import kernel
from worker.features.layout import (
    BLOCK,
    CAPACITY,
    EVENTS,
    EXPIRED,
    HEAD,
    MIN_CAPACITY,
    POOL_USED,
    SIZE_CLASSES,
    TAIL,
    TIME,
)

Ints = NDArray[np.int64]


@kernel
def make_room(row: Ints, pool: Ints, position: int, words: int) -> None:
    """Shift the events from `position` on by one: O(events behind it)."""
    block, mask = row[BLOCK], row[CAPACITY] - 1
    for p in range(row[TAIL], position, -1):
        for w in range(words):
            pool[block + (p & mask), w] = pool[block + ((p - 1) & mask), w]


@kernel
def expire(slot: int, meta: Ints, pool: Ints, scalars: Ints) -> None:
    """Forget the key's events that no record of the running batch can see."""
    row = meta[slot]
    block, mask = row[BLOCK], row[CAPACITY] - 1
    head, tail = row[HEAD], row[TAIL]
    while head < tail and pool[block + (head & mask), TIME] <= scalars[EXPIRED]:
        head += 1
    scalars[EVENTS] -= head - row[HEAD]
    row[HEAD] = head


@kernel
def grow(row: Ints, pool: Ints, free: Ints, deques: Ints, scalars: Ints) -> bool:
    """Move the key's events to a block of twice the size; False if there is none."""
    old_block, old_capacity = row[BLOCK], row[CAPACITY]
    capacity = max(MIN_CAPACITY, 2 * old_capacity)
    block = take_block(_size_class(capacity), pool, free)
    if block < 0:
        if scalars[POOL_USED] + capacity > pool.shape[0]:
            return False
        block = scalars[POOL_USED]
        scalars[POOL_USED] += capacity
    for p in range(row[HEAD], row[TAIL]):
        source = old_block + (p & (old_capacity - 1))
        for w in range(pool.shape[1]):
            pool[block + (p & (capacity - 1)), w] = pool[source, w]
    for d in range(deques.shape[0]):
        word = deques[d, 0]
        for q in range(row[deques[d, 1]], row[deques[d, 1] + 1]):
            source = old_block + (q & (old_capacity - 1))
            pool[block + (q & (capacity - 1)), word] = pool[source, word]
    if old_capacity:
        release_block(old_block, old_capacity, pool, free)
    row[BLOCK] = block
    row[CAPACITY] = capacity
    return True


@kernel
def take_block(size_class: int, pool: Ints, free: Ints) -> int:
    """Return a free block of that size, if need be cut from a larger one; else -1."""
    found = size_class
    while found < SIZE_CLASSES and free[found] < 0:
        found += 1
    if found == SIZE_CLASSES:
        return -1
    block = free[found]
    free[found] = pool[block, TIME]
    while found > size_class:
        found -= 1
        half = MIN_CAPACITY << found
        release_block(block + half, half, pool, free)
    return int(block)


@kernel
def release_block(block: int, capacity: int, pool: Ints, free: Ints) -> None:
    """Put a block on the free list of its size."""
    size_class = _size_class(capacity)
    pool[block, TIME] = free[size_class]
    free[size_class] = block


@kernel
def _size_class(capacity: int) -> int:
    size_class = 0
    while MIN_CAPACITY << size_class < capacity:
        size_class += 1
    return size_class
