"""Statistics that read their window: distinct values, the last one, delayed extremes.

Their cost grows with the events in the window; the spec's author chooses them
knowingly. `LAST` and `SECONDS_SINCE_LAST` usually end at the first event read.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from worker.features.keys import finalize
from worker.features.layout import (
    BLOCK,
    CAPACITY,
    DISTINCT,
    END,
    FIRST_EDGE,
    LAST,
    MAX,
    NOT_KEPT,
    NOW,
    OP_COLUMN,
    OP_CURRENT,
    OP_END,
    OP_START,
    OP_STATISTIC,
    SECONDS_SINCE_LAST,
    SELF,
    SLOT,
    TIME,
)
from worker.records import MISSING

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@njit(cache=True)
def fold_scans(
    first: int,
    last: int,
    admitted: Ints,
    times: Ints,
    values: Ints,
    pool: Ints,
    meta: Ints,
    word: int,
    ops: Ints,
    empty: Floats,
    scale: float,
    out: Floats,
) -> None:
    """Write statistics that need every event of the window.

    word : place of the value in a row of `pool`, NOT_KEPT where every event counts.
    """
    for i in range(first, last):
        record = admitted[i]
        for o in range(ops.shape[0]):
            op = ops[o]
            if op[OP_STATISTIC] in (LAST, SECONDS_SINCE_LAST):
                result = _previous(
                    record, times[i], pool, meta, word, op, empty[o], scale
                )
            else:
                result = _whole(
                    record, values[i], pool, meta, word, op, empty[o], scale
                )
            out[i, op[OP_COLUMN]] = result


@njit(cache=True)
def _window(record: Ints, op: Ints) -> tuple[int, int]:
    """First position of a window, and the one behind its last."""
    end = record[END] if op[OP_END] == NOW else record[FIRST_EDGE + op[OP_END]]
    return record[FIRST_EDGE + op[OP_START]], end


@njit(cache=True)
def _previous(
    record: Ints,
    time_ms: int,
    pool: Ints,
    meta: Ints,
    word: int,
    op: Ints,
    empty: float,
    scale: float,
) -> float:
    """The newest event before the current one: its value, or how long ago it was."""
    row = meta[record[SLOT]]
    start, end = _window(record, op)
    p = _last(row, pool, word, start, end, record[SELF])
    if p < 0:
        return empty
    place = row[BLOCK] + (p & (row[CAPACITY] - 1))
    if op[OP_STATISTIC] == LAST:
        return float(pool[place, word] / scale)
    return float((time_ms - pool[place, TIME]) / 1000.0)


@njit(cache=True)
def _whole(
    record: Ints,
    value: int,
    pool: Ints,
    meta: Ints,
    word: int,
    op: Ints,
    empty: float,
    scale: float,
) -> float:
    """A statistic over every value of the window."""
    row = meta[record[SLOT]]
    start, end = _window(record, op)
    own = value if _adds_own(record, op) else MISSING
    skipped = record[SELF] if op[OP_CURRENT] == 0 else -1
    if op[OP_STATISTIC] == DISTINCT:
        return float(_distinct(row, pool, word, start, end, skipped, own))
    sign = 1 if op[OP_STATISTIC] == MAX else -1
    extreme = _extreme(row, pool, word, start, end, skipped, own, sign)
    return empty if extreme == MISSING else float(extreme / scale)


@njit(cache=True)
def _adds_own(record: Ints, op: Ints) -> bool:
    """Whether the current event belongs to the window without being stored."""
    return bool(op[OP_CURRENT] == 1 and op[OP_END] == NOW and record[SELF] < 0)


@njit(cache=True)
def _last(row: Ints, pool: Ints, word: int, start: int, end: int, own: int) -> int:
    """Position of the newest event with a value, without the current one; or -1."""
    block, mask = row[BLOCK], row[CAPACITY] - 1
    for p in range(end - 1, start - 1, -1):
        is_present = word == NOT_KEPT or pool[block + (p & mask), word] != MISSING
        if p != own and is_present:
            return p
    return -1


@njit(cache=True)
def _extreme(
    row: Ints,
    pool: Ints,
    word: int,
    start: int,
    end: int,
    skipped: int,
    own: int,
    sign: int,
) -> int:
    block, mask = row[BLOCK], row[CAPACITY] - 1
    extreme = own
    for p in range(start, end):
        value = pool[block + (p & mask), word]
        if p == skipped or value == MISSING:
            continue
        if extreme == MISSING or sign * value > sign * extreme:
            extreme = value
    return extreme


@njit(cache=True)
def _distinct(
    row: Ints, pool: Ints, word: int, start: int, end: int, skipped: int, own: int
) -> int:
    """Count distinct values by a hash set as large as the window asks for."""
    block, mask = row[BLOCK], row[CAPACITY] - 1
    size = 8
    while size < 2 * (end - start + 1):
        size *= 2
    seen = np.full(size, MISSING, np.int64)
    count = _insert(seen, own)
    for p in range(start, end):
        if p != skipped:
            count += _insert(seen, pool[block + (p & mask), word])
    return count


@njit(cache=True)
def _insert(seen: Ints, value: int) -> int:
    """Put a value into the set; 1 if it is new."""
    if value == MISSING:
        return 0
    mask = seen.shape[0] - 1
    place = np.int64(finalize(np.uint64(value)) >> np.uint64(1)) & mask
    while seen[place] != MISSING:
        if seen[place] == value:
            return 0
        place = (place + 1) & mask
    seen[place] = value
    return 1
