"""Room for events: free blocks are merged before more memory is taken.

A ring that doubles leaves a block behind that is too small for other rings of its age.
Neighbours among such blocks make larger ones; without that, almost half of the memory
of many growing keys would be holes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.features.blocks import release_block
from worker.features.kernel import kernel
from worker.features.layout import MERGED_AT, MIN_CAPACITY, POOL_USED, TIME

Ints = NDArray[np.int64]

#: Rows that an array gets at least when it grows.
LEAST_GROWTH = 1024


def with_more_room(pool: Ints, free: Ints, scalars: Ints) -> Ints:
    """Return a pool with more free blocks than the one that is full.

    It is the same one the first time that it is full; a larger copy after that.
    """
    if scalars[MERGED_AT] == len(pool):
        return grown(pool, int(scalars[POOL_USED]))
    scalars[MERGED_AT] = len(pool)
    merge_free_blocks(pool, free)
    return pool


def grown(array: Ints, used: int) -> Ints:
    """Return a copy with half as many rows again; only the used ones are copied."""
    rows = len(array) + max(len(array) // 2, LEAST_GROWTH)
    larger = np.empty((rows, array.shape[1]), np.int64)
    larger[:used] = array[:used]
    return larger


def merge_free_blocks(pool: Ints, free: Ints) -> None:
    """Make the largest blocks out of the free ones that lie side by side."""
    blocks = np.empty((_count(pool, free), 2), np.int64)
    if len(blocks) == 0:
        return
    _list(pool, free, blocks)
    blocks = blocks[np.argsort(blocks[:, 0])]
    firsts, lengths = blocks.T
    ends = firsts + lengths
    begins = np.flatnonzero(np.concatenate(([True], firsts[1:] != ends[:-1])))
    totals = np.add.reduceat(lengths, begins)
    _release(np.column_stack((firsts[begins], totals)), pool, free)


@kernel
def _count(pool: Ints, free: Ints) -> int:
    count = 0
    for size_class in range(free.shape[0]):
        block = free[size_class]
        while block >= 0:
            count += 1
            block = pool[block, TIME]
    return count


@kernel
def _list(pool: Ints, free: Ints, blocks: Ints) -> None:
    """Write the first row and the length of each free block; they are free no more."""
    count = 0
    for size_class in range(free.shape[0]):
        block = free[size_class]
        free[size_class] = -1
        while block >= 0:
            blocks[count, 0] = block
            blocks[count, 1] = MIN_CAPACITY << size_class
            count += 1
            block = pool[block, TIME]


@kernel
def _release(runs: Ints, pool: Ints, free: Ints) -> None:
    """Cut runs of rows, (n, 2) first and length, into the largest blocks."""
    for i in range(runs.shape[0]):
        first, left = runs[i, 0], runs[i, 1]
        while left:
            size = MIN_CAPACITY
            while 2 * size <= left:
                size *= 2
            release_block(first, size, pool, free)
            first += size
            left -= size
