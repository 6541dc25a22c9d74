"""Keys with their live events, out of a state and into another one.

A slice of slots is copied between two batches, so a snapshot never stops the loop for
long; hence its slices are of different offsets. Each key remembers up to which offset
of the log it was folded, and a replay passes over the records before it.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from worker.features.blocks import expire, grow
from worker.features.layout import (
    BLOCK,
    CAPACITY,
    EVENTS,
    FOLDED_UNTIL,
    FREE,
    HEAD,
    ID,
    KEY_HIGH,
    KEY_LOW,
    NEXT,
    POOL_FULL,
    SEGMENT_SEEN,
    SINCE,
    STATUS,
    TAIL,
    TIME,
    WAITING,
)
from worker.features.slots import find_slot, take_slot
from worker.features.waiting import drop_waiting, expire_waiting, put_waiting

Ints = NDArray[np.int64]


def event_counts(keys: Ints) -> Ints:
    """Return how many rows follow each key of a slice: (k,) int64 of (k, columns)."""
    counts: Ints = keys[:, TAIL] - keys[:, HEAD] + keys[:, WAITING]
    return counts


@njit(cache=True)
def count_live(
    first: int, last: int, meta: Ints, pool: Ints, waiting: Ints, scalars: Ints
) -> tuple[int, int]:
    """Count the live keys in slots [first, last), and their events and labels."""
    keys, events = 0, 0
    for slot in range(first, last):
        if meta[slot, TAIL] == FREE:
            continue
        expire(slot, meta, pool, scalars)
        live = meta[slot, TAIL] - meta[slot, HEAD]
        live += expire_waiting(meta[slot], waiting, scalars)
        if live:
            keys += 1
            events += live
    return keys, events


@njit(cache=True)
def copy_out(
    first: int,
    last: int,
    next_offset: int,
    meta: Ints,
    pool: Ints,
    waiting: Ints,
    queues: Ints,
    keys_out: Ints,
    events_out: Ints,
) -> None:
    """Copy the keys that `count_live` counted, folded up to `next_offset`.

    keys_out : (keys, meta columns). events_out : (events, words), in the order of
    their positions; the words of a queue stand in the order of the queue. A key's
    waiting labels follow.
    """
    k, e = 0, 0
    for slot in range(first, last):
        row = meta[slot]
        live = row[TAIL] - row[HEAD]
        if row[TAIL] == FREE or (live == 0 and row[WAITING] == 0):
            continue
        block, mask = row[BLOCK], row[CAPACITY] - 1
        _forget_dead(row, pool, queues)
        for j in range(live):
            events_out[e + j] = pool[block + ((row[HEAD] + j) & mask)]
        for d in range(queues.shape[0]):
            word, front = queues[d, 0], row[queues[d, 1]]
            for j in range(row[queues[d, 1] + 1] - front):
                events_out[e + j, word] = pool[block + ((front + j) & mask), word]
        keys_out[k] = row
        keys_out[k, FOLDED_UNTIL] = next_offset
        keys_out[k, SEGMENT_SEEN] = 0
        e += live
        labels = _copy_waiting(row, waiting, events_out, e)
        keys_out[k, WAITING] = labels
        k += 1
        e += labels


@njit(cache=True)
def _copy_waiting(row: Ints, waiting: Ints, events_out: Ints, at: int) -> int:
    """Write a key's waiting labels as rows; return how many there are."""
    count, entry = 0, row[WAITING]
    while entry:
        place = entry - 1
        events_out[at + count] = 0
        events_out[at + count, :NEXT] = waiting[place, :NEXT]
        entry = waiting[place, NEXT]
        count += 1
    return count


@njit(cache=True)
def _forget_dead(row: Ints, pool: Ints, queues: Ints) -> None:
    """Drop expired events from the queues, which hold no more than the live then."""
    block, mask = row[BLOCK], row[CAPACITY] - 1
    for d in range(queues.shape[0]):
        word, place = queues[d, 0], queues[d, 1]
        front, back = row[place], row[place + 1]
        while front < back and pool[block + (front & mask), word] < row[HEAD]:
            front += 1
        row[place] = front


@njit(cache=True)
def copy_in(
    first: int,
    at: int,
    keys_in: Ints,
    events_in: Ints,
    table: Ints,
    meta: Ints,
    pool: Ints,
    free: Ints,
    waiting: Ints,
    queues: Ints,
    scalars: Ints,
) -> tuple[int, int]:
    """Take in keys from `first` on, whose events begin at row `at`.

    Returns where it stopped: after the last key, or, with STATUS, where room is
    needed. Of a key that is there already, the one folded further is kept.
    """
    no_queues = np.empty((0, 2), np.int64)
    for k in range(first, keys_in.shape[0]):
        given = keys_in[k]
        low, high = np.uint64(given[KEY_LOW]), np.uint64(given[KEY_HIGH])
        live = given[TAIL] - given[HEAD]
        slot = find_slot(low, high, table, meta)
        if slot < 0:
            slot = take_slot(low, high, table, meta, scalars)
            if slot < 0:
                return k, at
        row = meta[slot]
        if row[FOLDED_UNTIL] > given[FOLDED_UNTIL]:
            at += live + given[WAITING]
            continue
        scalars[EVENTS] -= row[TAIL] - row[HEAD]
        row[HEAD] = row[TAIL] = 0
        while row[CAPACITY] < live:
            if not grow(row, pool, free, no_queues, scalars):
                scalars[STATUS] = POOL_FULL
                return k, at
        drop_waiting(row, waiting, scalars)
        _place(row, given, events_in, at, pool, queues)
        scalars[EVENTS] += live
        labels = given[WAITING]
        for e in range(at + live, at + live + labels):
            label = events_in[e]
            if not put_waiting(
                row, label[TIME], label[ID], label[SINCE], waiting, scalars
            ):
                return k, at
        at += live + labels
    return keys_in.shape[0], at


@njit(cache=True)
def _place(
    row: Ints, given: Ints, events_in: Ints, at: int, pool: Ints, queues: Ints
) -> None:
    """Fill a key's block; positions stay what they were."""
    block, capacity = row[BLOCK], row[CAPACITY]
    row[:] = given
    row[BLOCK], row[CAPACITY], row[WAITING] = block, capacity, 0
    mask = capacity - 1
    for j in range(given[TAIL] - given[HEAD]):
        pool[block + ((given[HEAD] + j) & mask)] = events_in[at + j]
    for d in range(queues.shape[0]):
        word, front = queues[d, 0], given[queues[d, 1]]
        for j in range(given[queues[d, 1] + 1] - front):
            pool[block + ((front + j) & mask), word] = events_in[at + j, word]
