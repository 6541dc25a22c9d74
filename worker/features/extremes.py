"""Least and greatest value of a measure: one monotonic queue for all its windows.

The queue of a key holds positions whose values strictly decrease (for the greatest):
an event that is neither newer nor greater than another can never be an answer. Each
window keeps a pointer into the queue that follows its beginning, so events in time
order cost O(1) amortised. An out-of-order insert rebuilds the queue; it, late events
and repeats read their window.

Source: Tangwongsan, Hirzel, Schneider, "Low-latency sliding-window aggregation in
worst-case constant time", DEBS 2017 (the queue is its baseline for max).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.features.kernel import kernel
from worker.features.layout import (
    BLOCK,
    CAPACITY,
    END,
    FIRST_EDGE,
    IN_ORDER,
    KIND,
    OP_COLUMN,
    OP_CURRENT,
    OP_POINTER,
    OP_START,
    OUT_OF_ORDER,
    SELF,
    SLOT,
    TAIL_AFTER,
)
from worker.records import MISSING

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# Places in `words`.
_VALUE, _QUEUE, _FRONT, _LONGEST = 0, 1, 2, 3


@kernel
def store_values(
    first: int,
    last: int,
    admitted: Ints,
    values: Ints,
    pool: Ints,
    meta: Ints,
    word: int,
) -> None:
    """Keep the values of stored events in their rows."""
    for i in range(first, last):
        if admitted[i, KIND] in (IN_ORDER, OUT_OF_ORDER):
            row = meta[admitted[i, SLOT]]
            place = row[BLOCK] + (admitted[i, SELF] & (row[CAPACITY] - 1))
            pool[place, word] = values[i]


@kernel
def fold_extremes(
    first: int,
    last: int,
    admitted: Ints,
    values: Ints,
    pool: Ints,
    meta: Ints,
    words: Ints,
    sign: int,
    ops: Ints,
    empty: Floats,
    scale: float,
    out: Floats,
) -> None:
    """Write the extreme of each record's windows.

    words : place of the value and of the queue in a row of `pool`, of the queue's
    front in a row of `meta` (its back and the pointers follow), and the edge of the
    longest window. sign : 1 for the greatest, -1 for the least.
    """
    for i in range(first, last):
        record = admitted[i]
        if record[KIND] == IN_ORDER:
            row = meta[record[SLOT]]
            _drop_front(row, pool, words, record[FIRST_EDGE + words[_LONGEST]])
            _answer(0, record, row, pool, words, ops, empty, scale, out[i])
            _push(row, pool, words, sign, record[SELF], values[i])
            _answer(1, record, row, pool, words, ops, empty, scale, out[i])
            continue
        if record[KIND] == OUT_OF_ORDER:
            _rebuild(meta[record[SLOT]], pool, words, sign, record)
        for o in range(ops.shape[0]):
            extreme = _scan(record, values[i], meta, pool, words, sign, ops[o])
            out[i, ops[o, OP_COLUMN]] = _scaled(extreme, empty[o], scale)


@kernel
def _scaled(value: int, empty: float, scale: float) -> float:
    return empty if value == MISSING else value / scale


@kernel
def _drop_front(row: Ints, pool: Ints, words: Ints, start: int) -> None:
    """Forget positions before the longest window."""
    block, mask = row[BLOCK], row[CAPACITY] - 1
    front, back = row[words[_FRONT]], row[words[_FRONT] + 1]
    while front < back and pool[block + (front & mask), words[_QUEUE]] < start:
        front += 1
    row[words[_FRONT]] = front


@kernel
def _push(
    row: Ints, pool: Ints, words: Ints, sign: int, position: int, value: int
) -> None:
    """Append a position; those that it makes useless are dropped from the back."""
    if value == MISSING:
        return
    block, mask = row[BLOCK], row[CAPACITY] - 1
    front, back = row[words[_FRONT]], row[words[_FRONT] + 1]
    while front < back:
        other = pool[block + ((back - 1) & mask), words[_QUEUE]]
        if sign * pool[block + (other & mask), words[_VALUE]] > sign * value:
            break
        back -= 1
    pool[block + (back & mask), words[_QUEUE]] = position
    row[words[_FRONT] + 1] = back + 1


@kernel
def _answer(
    is_current_included: int,
    record: Ints,
    row: Ints,
    pool: Ints,
    words: Ints,
    ops: Ints,
    empty: Floats,
    scale: float,
    out: Floats,
) -> None:
    """Read the front of each window that includes (or excludes) the current event."""
    block, mask = row[BLOCK], row[CAPACITY] - 1
    front, back = row[words[_FRONT]], row[words[_FRONT] + 1]
    for o in range(ops.shape[0]):
        if ops[o, OP_CURRENT] != is_current_included:
            continue
        start = record[FIRST_EDGE + ops[o, OP_START]]
        pointer = words[_FRONT] + 2 + ops[o, OP_POINTER]
        q = max(front, min(row[pointer], back - 1))
        while q < back and pool[block + (q & mask), words[_QUEUE]] < start:
            q += 1
        row[pointer] = q
        value = MISSING
        if q < back:
            position = pool[block + (q & mask), words[_QUEUE]]
            value = pool[block + (position & mask), words[_VALUE]]
        out[ops[o, OP_COLUMN]] = _scaled(value, empty[o], scale)


@kernel
def _rebuild(row: Ints, pool: Ints, words: Ints, sign: int, record: Ints) -> None:
    """Make the queue anew after an insert: O(events in the longest window)."""
    block, mask = row[BLOCK], row[CAPACITY] - 1
    row[words[_FRONT]] = 0
    row[words[_FRONT] + 1] = 0
    for pointer in range(words[_FRONT] + 2, words[_FRONT] + 2 + words[4]):
        row[pointer] = 0
    for p in range(record[FIRST_EDGE + words[_LONGEST]], record[TAIL_AFTER]):
        _push(row, pool, words, sign, p, pool[block + (p & mask), words[_VALUE]])


@kernel
def _scan(
    record: Ints,
    value: int,
    meta: Ints,
    pool: Ints,
    words: Ints,
    sign: int,
    op: Ints,
) -> int:
    """Read the whole window: O(events in it)."""
    is_included = op[OP_CURRENT] == 1
    extreme = value if is_included and record[SELF] < 0 else MISSING
    row = meta[record[SLOT]]
    block, mask = row[BLOCK], row[CAPACITY] - 1
    for p in range(record[FIRST_EDGE + op[OP_START]], record[END]):
        if p == record[SELF] and not is_included:
            continue
        other = pool[block + (p & mask), words[_VALUE]]
        if other != MISSING and (extreme == MISSING or sign * other > sign * extreme):
            extreme = other
    return extreme
