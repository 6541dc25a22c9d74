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
from numpy.typing import NDArray

from worker.features.blocks import expire, grow, make_room
from worker.features.kernel import kernel
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
    MARK_LABEL,
    MARK_WAITED,
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
from worker.features.positions import find_same, first_after, upper_bound
from worker.features.slots import find_slot, take_slot
from worker.features.waiting import admit_label, take_waiting
from worker.records import MISSING

Ints = NDArray[np.int64]


@kernel
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
    waiting: Ints,
    marks: Ints,
    admitted: Ints,
    flags: NDArray[np.bool_],
    watermarks: Ints,
) -> int:
    """Admit records from `first`; return where it stopped, and why in STATUS.

    marks : (n, MARK_COLUMNS), or (0, MARK_COLUMNS) where there are no labels. flags :
    (n, 2) bool, late and duplicate. admitted : (n, FIRST_EDGE + n_edges).
    """
    scalars[STATUS] = DONE
    has_labels = marks.shape[0] > 0
    for i in range(first, last):
        if has_labels and marks[i, MARK_LABEL] != MISSING:
            _note_absent(admitted[i])
            flags[i] = False
            told = (keys[i], times[i], ids[i], offsets[i], marks[i])
            is_done = admit_label(*told, table, meta, pool, waiting, scalars)
        else:
            is_done = _admit_event(
                keys[i],
                times[i],
                ids[i],
                offsets[i],
                table,
                meta,
                pool,
                free,
                deques,
                edges,
                scalars,
                admitted[i],
                flags[i],
            )
            if has_labels and is_done and admitted[i, KIND] != NOT_STORED:
                row, mark = meta[admitted[i, SLOT]], marks[i]
                mark[MARK_WAITED] = take_waiting(
                    row, times[i], ids[i], waiting, scalars
                )
        if not is_done:
            return i
        watermarks[i] = scalars[WATERMARK]
    return last


@kernel
def _admit_event(
    key: NDArray[np.uint64],
    t: int,
    identity: int,
    offset: int,
    table: Ints,
    meta: Ints,
    pool: Ints,
    free: Ints,
    deques: Ints,
    edges: Ints,
    scalars: Ints,
    record: Ints,
    flags: NDArray[np.bool_],
) -> bool:
    """Decide about an event, and store it; False, with STATUS, for want of room."""
    scalars[WATERMARK] = max(t, scalars[WATERMARK])
    watermark = scalars[WATERMARK]
    is_late = t < watermark - scalars[LATENESS]
    slot = find_slot(key[0], key[1], table, meta)
    if slot < 0 and not is_late:
        slot = take_slot(key[0], key[1], table, meta, scalars)
        if slot < 0:
            return False
    flags[0], flags[1] = is_late, False
    if slot < 0 or offset < meta[slot, FOLDED_UNTIL]:
        _note_absent(record)
        return True
    expire(slot, meta, pool, scalars)
    floor = watermark - scalars[RETENTION]
    end = upper_bound(meta[slot], pool, t)
    same = find_same(meta[slot], pool, end, t, identity) if t > floor else -1
    flags[1] = same >= 0
    if is_late or same >= 0:
        _note(record, slot, NOT_STORED, end, same, meta[slot, TAIL])
    elif not _store(slot, t, identity, end, meta, pool, free, deques, scalars, record):
        return False
    _find_edges(t, floor, edges, meta[slot], pool, record)
    meta[slot, SEGMENT_SEEN] = scalars[SEGMENT]
    return True


@kernel
def _note_absent(record: Ints) -> None:
    """A record without a place: late for a key not held, or folded before.

    Every window is empty; of a record that was folded before, nobody looks at it.
    """
    record[:] = 0
    record[SLOT] = -1
    record[KIND] = NOT_STORED
    record[SELF] = -1


@kernel
def _note(record: Ints, slot: int, kind: int, end: int, own: int, tail: int) -> None:
    record[SLOT] = slot
    record[KIND] = kind
    record[END] = end
    record[SELF] = own
    record[TAIL_AFTER] = tail


@kernel
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


@kernel
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
            p = first_after(block, mask, pool, head, end, bound)
        record[FIRST_EDGE + e] = p
