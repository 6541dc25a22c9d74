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

from worker.features.keys import finalize
from worker.features.layout import (
    BLOCK,
    CAPACITY,
    DONE,
    END,
    EVENT_LIMIT,
    EVENTS,
    EXPIRED,
    FIRST_EDGE,
    FIRST_HEAD,
    FREE_SLOT,
    HEAD,
    ID,
    IN_ORDER,
    KEY_HIGH,
    KEY_LIMIT,
    KEY_LOW,
    KEYS,
    KIND,
    LATENESS,
    MAX_EVENTS,
    MAX_KEYS,
    MIN_CAPACITY,
    NOT_STORED,
    OUT_OF_ORDER,
    POOL_FULL,
    POOL_USED,
    RETENTION,
    SEGMENT,
    SEGMENT_ENDS,
    SEGMENT_SEEN,
    SELF,
    SHIFTED_WORDS,
    SLOT,
    SLOTS_FULL,
    SLOTS_USED,
    STATUS,
    TAIL,
    TAIL_AFTER,
    TIME,
    WATERMARK,
)

Ints = NDArray[np.int64]


@njit(cache=True)
def admit(
    first: int,
    last: int,
    keys: NDArray[np.uint64],
    ids: Ints,
    times: Ints,
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
        if slot < 0:
            _note_absent(admitted[i])
        else:
            expire(slot, meta, pool, scalars)
            floor = watermark - scalars[RETENTION]
            end = upper_bound(meta[slot], pool, t)
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
    """A late record of a key without live events: every window is empty."""
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
    if row[TAIL] - row[HEAD] == row[CAPACITY] and not _grow(
        row, pool, free, deques, scalars
    ):
        scalars[STATUS] = POOL_FULL
        return False
    if not is_in_order:
        _make_room(row, pool, end, scalars[SHIFTED_WORDS])
    place = row[BLOCK] + (end & (row[CAPACITY] - 1))
    pool[place, TIME] = t
    pool[place, ID] = identity
    row[TAIL] += 1
    scalars[EVENTS] += 1
    kind = IN_ORDER if is_in_order else OUT_OF_ORDER
    _note(record, slot, kind, end + 1, end, row[TAIL])
    return True


@njit(cache=True)
def _make_room(row: Ints, pool: Ints, position: int, words: int) -> None:
    """Shift the events from `position` on by one: O(events behind it)."""
    block, mask = row[BLOCK], row[CAPACITY] - 1
    for p in range(row[TAIL], position, -1):
        for w in range(words):
            pool[block + (p & mask), w] = pool[block + ((p - 1) & mask), w]


@njit(cache=True)
def _find_edges(
    t: int, floor: int, edges: Ints, row: Ints, pool: Ints, record: Ints
) -> None:
    """Position of the first event after max(t - edge, floor), for each edge.

    At the key's newest stored event the heads only move forward: O(1) amortised.
    Elsewhere: binary search, and no head moves, for an older one may follow.
    """
    block, mask = row[BLOCK], row[CAPACITY] - 1
    head, end = row[HEAD], record[END]
    is_newest = end == row[TAIL] and record[SELF] >= 0
    inserted_at = record[SELF] if record[KIND] == OUT_OF_ORDER else row[TAIL]
    for e in range(edges.shape[0]):
        bound = max(t - edges[e], floor)
        if is_newest:
            p = max(row[FIRST_HEAD + e], head)
            while p < end and pool[block + (p & mask), TIME] <= bound:
                p += 1
            row[FIRST_HEAD + e] = p
        else:
            p = _first_after(block, mask, pool, head, end, bound)
            if row[FIRST_HEAD + e] > inserted_at:
                row[FIRST_HEAD + e] += 1
        record[FIRST_EDGE + e] = p


@njit(cache=True)
def upper_bound(row: Ints, pool: Ints, t: int) -> int:
    """Position behind the last of the key's events at or before t."""
    head, tail = row[HEAD], row[TAIL]
    block, mask = row[BLOCK], row[CAPACITY] - 1
    if head == tail or pool[block + ((tail - 1) & mask), TIME] <= t:
        return tail
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


@njit(cache=True)
def expire(slot: int, meta: Ints, pool: Ints, scalars: Ints) -> None:
    """Forget the key's events that no record of the running batch can see."""
    row = meta[slot]
    block, mask = row[BLOCK], row[CAPACITY] - 1
    head, tail = row[HEAD], row[TAIL]
    while head < tail and pool[block + (head & mask), TIME] <= scalars[EXPIRED]:
        head += 1
    scalars[EVENTS] -= head - row[HEAD]
    row[HEAD] = head


@njit(cache=True)
def _grow(row: Ints, pool: Ints, free: Ints, deques: Ints, scalars: Ints) -> bool:
    """Move the key's events to a block of twice the size; False if there is none."""
    old_block, old_capacity = row[BLOCK], row[CAPACITY]
    capacity = max(MIN_CAPACITY, 2 * old_capacity)
    size_class = _size_class(capacity)
    block = free[size_class]
    if block >= 0:
        free[size_class] = pool[block, TIME]
    elif scalars[POOL_USED] + capacity <= pool.shape[0]:
        block = scalars[POOL_USED]
        scalars[POOL_USED] += capacity
    else:
        return False
    for p in range(row[HEAD], row[TAIL]):
        source = old_block + (p & (old_capacity - 1))
        pool[block + (p & (capacity - 1))] = pool[source]
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


@njit(cache=True)
def release_block(block: int, capacity: int, pool: Ints, free: Ints) -> None:
    """Put a block on the free list of its size."""
    size_class = _size_class(capacity)
    pool[block, TIME] = free[size_class]
    free[size_class] = block


@njit(cache=True)
def _size_class(capacity: int) -> int:
    size_class = 0
    while MIN_CAPACITY << size_class < capacity:
        size_class += 1
    return size_class


@njit(cache=True)
def slot_hash(low: np.uint64, high: np.uint64) -> int:
    """Spread a key over the table: 63 bits."""
    mixed = finalize(low ^ finalize(high))
    return np.int64(mixed >> np.uint64(1))


@njit(cache=True)
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
            return slot
        place = (place + 1) & mask
    return -1


@njit(cache=True)
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
    return slot


@njit(cache=True)
def enter(slot: int, table: Ints, meta: Ints) -> None:
    """Enter a slot into the table."""
    mask = table.shape[0] - 1
    low, high = np.uint64(meta[slot, KEY_LOW]), np.uint64(meta[slot, KEY_HIGH])
    place = slot_hash(low, high) & mask
    while table[place] != 0:
        place = (place + 1) & mask
    table[place] = slot + 1
