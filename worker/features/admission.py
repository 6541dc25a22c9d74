"""The first pass over a batch: which events count, and where each window begins.

For each record in log order: its key's slot, whether it is late or a repeat, its
place among the key's events in time order, and the position of every window edge.
The measures are computed from these positions by later passes.

    edge at t - w                        the record, t
        |  window (t - w, t]                |
    ----o---x-----x--x----------x-----------x----> time
            ^ position of the edge          ^ SELF, END = SELF + 1

An event that is older than its key's newest is inserted where it belongs. Since the
later passes read the rows of the whole span, such an insert may not follow another
event of its key within one span ("segment"): admission stops before it.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from worker.features.blocks import expire, grow, make_room
from worker.features.layout import (
    BLOCK,
    CAPACITY,
    DONE,
    END,
    EVENT_LIMIT,
    EVENTS,
    FIRST_EDGE,
    FIRST_HEAD,
    FOLDED_UNTIL,
    HEAD,
    ID,
    IN_ORDER,
    KIND,
    LATENESS,
    MAX_EVENTS,
    NOT_STORED,
    OUT_OF_ORDER,
    POOL_FULL,
    RETENTION,
    SEGMENT,
    SEGMENT_ENDS,
    SEGMENT_SEEN,
    SELF,
    SHIFTED_WORDS,
    SLOT,
    STATUS,
    TAIL,
    TAIL_AFTER,
    TIME,
    WATERMARK,
)
from worker.features.slots import find_slot, take_slot

Ints = NDArray[np.int64]


@njit(cache=True)
def admit(
    first: int,
    last: int,
    keys: NDArray[np.uint64],
    ids: Ints,
    times: Ints,
    offsets: Ints,
    table: Ints,
    meta: Ints,
    pool: Ints,
    free: Ints,
    deques: Ints,
    edges: Ints,
    scalars: Ints,
    admitted: Ints,
    flags: NDArray[np.bool_],
    watermarks: Ints,
) -> int:
    """Admit records from `first`; return where it stopped, and why in STATUS.

    flags : (n, 2) bool, late and duplicate. admitted : (n, FIRST_EDGE + n_edges).
    """
    scalars[STATUS] = DONE
    for i in range(first, last):
        t = times[i]
        scalars[WATERMARK] = max(t, scalars[WATERMARK])
        watermark = scalars[WATERMARK]
        is_late = t < watermark - scalars[LATENESS]
        slot = find_slot(keys[i, 0], keys[i, 1], table, meta)
        if slot < 0 and not is_late:
            slot = take_slot(keys[i, 0], keys[i, 1], table, meta, scalars)
            if slot < 0:
                return i
        is_duplicate = False
        if slot < 0 or offsets[i] < meta[slot, FOLDED_UNTIL]:
            _note_absent(admitted[i])
        else:
            expire(slot, meta, pool, scalars)
            floor = watermark - scalars[RETENTION]
            end = _upper_bound(meta[slot], pool, t)
            same = _find_same(meta[slot], pool, end, t, ids[i]) if t > floor else -1
            is_duplicate = same >= 0
            if is_late or is_duplicate:
                _note(admitted[i], slot, NOT_STORED, end, same, meta[slot, TAIL])
            elif not _store(
                slot, t, ids[i], end, meta, pool, free, deques, scalars, admitted[i]
            ):
                return i
            _find_edges(t, floor, edges, meta[slot], pool, admitted[i])
            meta[slot, SEGMENT_SEEN] = scalars[SEGMENT]
        flags[i, 0] = is_late
        flags[i, 1] = is_duplicate
        watermarks[i] = watermark
    return last


@njit(cache=True)
def _note_absent(record: Ints) -> None:
    """A record without a place: late for a key not held, or folded before.

    Every window is empty; of a record that was folded before, nobody looks at it.
    """
    record[:] = 0
    record[SLOT] = -1
    record[KIND] = NOT_STORED
    record[SELF] = -1


@njit(cache=True)
def _note(record: Ints, slot: int, kind: int, end: int, own: int, tail: int) -> None:
    record[SLOT] = slot
    record[KIND] = kind
    record[END] = end
    record[SELF] = own
    record[TAIL_AFTER] = tail


@njit(cache=True)
def _store(
    slot: int,
    t: int,
    identity: int,
    end: int,
    meta: Ints,
    pool: Ints,
    free: Ints,
    deques: Ints,
    scalars: Ints,
    record: Ints,
) -> bool:
    """Put the event at position `end`; False, with STATUS, where it cannot be."""
    row = meta[slot]
    is_in_order = end == row[TAIL]
    if not is_in_order and row[SEGMENT_SEEN] == scalars[SEGMENT]:
        scalars[STATUS] = SEGMENT_ENDS
        return False
    if scalars[EVENTS] >= scalars[MAX_EVENTS]:
        scalars[STATUS] = EVENT_LIMIT
        return False
    if row[TAIL] - row[HEAD] == row[CAPACITY] and not grow(
        row, pool, free, deques, scalars
    ):
        scalars[STATUS] = POOL_FULL
        return False
    if not is_in_order:
        make_room(row, pool, end, scalars[SHIFTED_WORDS])
    place = row[BLOCK] + (end & (row[CAPACITY] - 1))
    pool[place, TIME] = t
    pool[place, ID] = identity
    row[TAIL] += 1
    scalars[EVENTS] += 1
    kind = IN_ORDER if is_in_order else OUT_OF_ORDER
    _note(record, slot, kind, end + 1, end, row[TAIL])
    return True


@njit(cache=True)
def _find_edges(
    t: int, floor: int, edges: Ints, row: Ints, pool: Ints, record: Ints
) -> None:
    """Position of the first event after max(t - edge, floor), for each edge.

    At the key's newest stored event the heads only move forward: O(1) amortised.
    Elsewhere: binary search, and no head moves, for an older one may follow. (After
    an insert a head may stand one too early, which the next walk mends.)
    """
    block, mask = row[BLOCK], row[CAPACITY] - 1
    head, end = row[HEAD], record[END]
    is_newest = end == row[TAIL] and record[SELF] >= 0
    for e in range(edges.shape[0]):
        bound = max(t - edges[e], floor)
        if is_newest:
            p = max(row[FIRST_HEAD + e], head)
            while p < end and pool[block + (p & mask), TIME] <= bound:
                p += 1
            row[FIRST_HEAD + e] = p
        else:
            p = _first_after(block, mask, pool, head, end, bound)
        record[FIRST_EDGE + e] = p


@njit(cache=True)
def _upper_bound(row: Ints, pool: Ints, t: int) -> int:
    """Position behind the last of the key's events at or before t."""
    head, tail = row[HEAD], row[TAIL]
    block, mask = row[BLOCK], row[CAPACITY] - 1
    if head == tail or pool[block + ((tail - 1) & mask), TIME] <= t:
        return int(tail)
    return _first_after(block, mask, pool, head, tail, t)


@njit(cache=True)
def _first_after(
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


@njit(cache=True)
def _find_same(row: Ints, pool: Ints, end: int, t: int, identity: int) -> int:
    """Position of the event with this time and id, or -1."""
    block, mask = row[BLOCK], row[CAPACITY] - 1
    p = end - 1
    while p >= row[HEAD] and pool[block + (p & mask), TIME] == t:
        if pool[block + (p & mask), ID] == identity:
            return p
        p -= 1
    return -1
