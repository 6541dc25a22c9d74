"""Count, sum, mean and standard deviation of a measure: differences of prefix sums.

Every stored event carries the totals of its key before it, so a window costs two
reads per statistic, whatever its length. Values are integers, hence every sum is
exact and no result depends on the path by which the state was reached; sums wrap
around 2**64 harmlessly, squares have 128 bits.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from worker.features.kernel import kernel
from worker.features.layout import (
    BLOCK,
    CAPACITY,
    COUNT,
    END,
    FIRST_EDGE,
    KIND,
    MEAN,
    NOT_KEPT,
    NOT_STORED,
    NOW,
    OP_COLUMN,
    OP_CURRENT,
    OP_END,
    OP_START,
    OP_STATISTIC,
    SELF,
    SLOT,
    SUM,
    TAIL_AFTER,
)
from worker.features.wide import minus, multiply, plus, square
from worker.records import MISSING

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# Places in `words`: where a measure keeps its prefix in the rows of `pool`, and, from
# _TOTALS on, the running total in the rows of `meta`. Squares take two: high, low.
_SUM, _COUNT, _SQUARE = 0, 1, 2
_TOTALS = 3

_TWO_64 = 2.0**64


@kernel
def fold_sums(
    first: int,
    last: int,
    admitted: Ints,
    values: Ints,
    pool: Ints,
    meta: Ints,
    words: Ints,
    ops: Ints,
    empty: Floats,
    scale: float,
    out: Floats,
) -> None:
    """Store the values of admitted records, and write each one's statistics.

    values : (n,) int64 with MISSING. words : (6,) int64, see above. ops :
    (k, OP_COLUMNS). empty : (k,) the value of a window without values. out :
    (n, columns), written at OP_COLUMN.
    """
    for i in range(first, last):
        record = admitted[i]
        value = values[i]
        if record[KIND] != NOT_STORED:
            _store(record, value, pool, meta, words)
        for o in range(ops.shape[0]):
            out[i, ops[o, OP_COLUMN]] = _statistic(
                record, value, pool, meta, words, ops[o], empty[o], scale
            )


@kernel
def _store(record: Ints, value: int, pool: Ints, meta: Ints, words: Ints) -> None:
    """Write the prefixes of a stored event, and add its value to all behind it."""
    row = meta[record[SLOT]]
    block, mask = row[BLOCK], row[CAPACITY] - 1
    own, tail = record[SELF], record[TAIL_AFTER]
    is_present = value != MISSING
    for w in range(2):
        if words[w] == NOT_KEPT:
            continue
        word, total = words[w], words[_TOTALS + w]
        added = (value if w == _SUM else 1) if is_present else 0
        at = block + (own & mask)
        if own + 1 == tail:
            pool[at, word] = row[total]
        else:
            pool[at, word] = pool[block + ((own + 1) & mask), word]
        for p in range(own + 1, tail):
            pool[block + (p & mask), word] += added
        row[total] += added
    if words[_SQUARE] != NOT_KEPT:
        _store_square(record, value if is_present else 0, pool, meta, words)


@kernel
def _store_square(
    record: Ints, value: int, pool: Ints, meta: Ints, words: Ints
) -> None:
    row = meta[record[SLOT]]
    block, mask = row[BLOCK], row[CAPACITY] - 1
    own, tail = record[SELF], record[TAIL_AFTER]
    word, total = words[_SQUARE], words[_TOTALS + _SQUARE]
    high, low = square(value)
    at = block + (own & mask)
    after = block + ((own + 1) & mask)
    for half in range(2):
        if own + 1 == tail:
            pool[at, word + half] = row[total + half]
        else:
            pool[at, word + half] = pool[after, word + half]
    for p in range(own + 1, tail):
        _add(pool[block + (p & mask)], word, high, low)
    _add(row, total, high, low)


@kernel
def _add(row: Ints, at: int, high: np.uint64, low: np.uint64) -> None:
    """Add a 128-bit number to the one in row[at] (high) and row[at + 1] (low)."""
    new_low = np.uint64(row[at + 1]) + low
    carry = np.uint64(1) if new_low < low else np.uint64(0)
    row[at] = np.int64(np.uint64(row[at]) + high + carry)
    row[at + 1] = np.int64(new_low)


@kernel
def _statistic(
    record: Ints,
    value: int,
    pool: Ints,
    meta: Ints,
    words: Ints,
    op: Ints,
    empty: float,
    scale: float,
) -> float:
    start = record[FIRST_EDGE + op[OP_START]]
    end = record[END] if op[OP_END] == NOW else record[FIRST_EDGE + op[OP_END]]
    is_own_added = False
    if op[OP_END] == NOW:
        is_own_added = op[OP_CURRENT] == 1 and record[SELF] < 0 and value != MISSING
    without = record[SELF] if op[OP_END] == NOW and op[OP_CURRENT] == 0 else -1
    if words[_COUNT] == NOT_KEPT:
        count = end - start - (1 if without >= 0 else 0)
    else:
        count = _between(record, start, end, without, pool, meta, words, _COUNT)
    count += 1 if is_own_added else 0
    if op[OP_STATISTIC] == COUNT:
        return float(count)
    total = _between(record, start, end, without, pool, meta, words, _SUM)
    total += value if is_own_added else 0
    if op[OP_STATISTIC] == SUM:
        return float(total / scale)
    if count == 0:
        return empty
    if op[OP_STATISTIC] == MEAN:
        return float(total / (count * scale))
    high, low = _squares_between(record, start, end, without, pool, meta, words)
    if is_own_added:
        own_high, own_low = square(value)
        high, low = plus(high, low, own_high, own_low)
    return float(_deviation(count, total, high, low) / (count * scale))


@kernel
def _between(
    record: Ints,
    start: int,
    end: int,
    without: int,
    pool: Ints,
    meta: Ints,
    words: Ints,
    kind: int,
) -> int:
    """Total over positions [start, end), without one of them if `without` >= 0."""
    if end <= start:
        return 0
    word, total = words[kind], words[_TOTALS + kind]
    amount = _prefix(record, end, pool, meta, word, total)
    amount -= _prefix(record, start, pool, meta, word, total)
    if without >= 0:
        amount -= _prefix(record, without + 1, pool, meta, word, total)
        amount += _prefix(record, without, pool, meta, word, total)
    return amount


@kernel
def _prefix(
    record: Ints, position: int, pool: Ints, meta: Ints, word: int, total: int
) -> int:
    """Total of all events before a position."""
    row = meta[record[SLOT]]
    if position >= record[TAIL_AFTER]:
        return int(row[total])
    return int(pool[row[BLOCK] + (position & (row[CAPACITY] - 1)), word])


@kernel
def _squares_between(
    record: Ints,
    start: int,
    end: int,
    without: int,
    pool: Ints,
    meta: Ints,
    words: Ints,
) -> tuple[np.uint64, np.uint64]:
    """Sum of squares over [start, end), without one: high and low 64 bits."""
    if end <= start:
        return np.uint64(0), np.uint64(0)
    high, low = _square_prefix(record, end, pool, meta, words)
    lesser = _square_prefix(record, start, pool, meta, words)
    high, low = minus(high, low, lesser[0], lesser[1])
    if without >= 0:
        own = _square_prefix(record, without + 1, pool, meta, words)
        before = _square_prefix(record, without, pool, meta, words)
        own = minus(own[0], own[1], before[0], before[1])
        high, low = minus(high, low, own[0], own[1])
    return high, low


@kernel
def _square_prefix(
    record: Ints, position: int, pool: Ints, meta: Ints, words: Ints
) -> tuple[np.uint64, np.uint64]:
    word, total = words[_SQUARE], words[_TOTALS + _SQUARE]
    high = _prefix(record, position, pool, meta, word, total)
    low = _prefix(record, position, pool, meta, word + 1, total + 1)
    return np.uint64(high), np.uint64(low)


@kernel
def _deviation(count: int, total: int, high: np.uint64, low: np.uint64) -> float:
    """Return count * standard deviation (ddof 0) from exact 128-bit integers."""
    product_high, product_low = multiply(np.uint64(count), low)
    product_high += np.uint64(count) * high
    square_high, square_low = square(total)
    high, low = minus(product_high, product_low, square_high, square_low)
    return math.sqrt(np.float64(high) * _TWO_64 + np.float64(low))
