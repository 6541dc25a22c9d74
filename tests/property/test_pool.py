"""Blocks of the pool: none is in two hands, and free ones become one again."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.features.blocks import release_block, take_block
from worker.features.layout import MIN_CAPACITY, SIZE_CLASSES, TIME
from worker.features.pool import merge_free_blocks

#: Size classes that are asked for; the largest block has 32 rows.
CLASSES = st.integers(0, 3)
ROWS = 256


def empty_pool() -> tuple[np.ndarray, np.ndarray]:
    """A pool of which nothing is in use."""
    pool = np.zeros((ROWS, 3), np.int64)
    free = np.full(SIZE_CLASSES, -1, np.int64)
    for first in range(0, ROWS, MIN_CAPACITY):
        release_block(first, MIN_CAPACITY, pool, free)
    return pool, free


def free_rows(pool: np.ndarray, free: np.ndarray) -> list[int]:
    """Every row of every free block, as often as it is in one."""
    rows: list[int] = []
    for size_class, first in enumerate(free.tolist()):
        block = first
        while block >= 0:
            rows += range(block, block + (MIN_CAPACITY << size_class))
            block = int(pool[block, TIME])
    return rows


@given(st.lists(CLASSES | st.none() | st.just("release"), max_size=60), st.randoms())
def test_every_row_is_free_or_in_one_block(
    steps: list[int | str | None], chance: Random
) -> None:
    """None merges; "release" gives a block back that was taken before."""
    pool, free = empty_pool()
    taken: list[tuple[int, int]] = []
    for step in steps:
        if step is None:
            merge_free_blocks(pool, free)
        elif step == "release":
            if taken:
                release_block(*taken.pop(chance.randrange(len(taken))), pool, free)
        elif (block := take_block(int(step), pool, free)) >= 0:
            taken.append((block, MIN_CAPACITY << int(step)))

    used = [row for first, size in taken for row in range(first, first + size)]
    assert sorted(used + free_rows(pool, free)) == list(range(ROWS))


def test_merged_neighbours_make_the_largest_block_there_can_be() -> None:
    pool, free = empty_pool()

    assert take_block(6, pool, free) == -1
    merge_free_blocks(pool, free)

    assert take_block(6, pool, free) == 0
    assert free_rows(pool, free) == []


def test_nothing_free_is_nothing_to_merge() -> None:
    pool, free = np.zeros((4, 3), np.int64), np.full(SIZE_CLASSES, -1, np.int64)

    merge_free_blocks(pool, free)

    assert free_rows(pool, free) == []
