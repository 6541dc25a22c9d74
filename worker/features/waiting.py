"""Labels on their way to their transaction; those that come before it wait for it.

They wait with its key as long as the transaction could still be remembered: one that
comes later than the allowed lateness is not, so neither is its label.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.features.kernel import kernel
from worker.features.layout import (
    FOLDED_UNTIL,
    FREE_WAITING,
    ID,
    LATENESS,
    MARK_LABEL,
    MARK_POSITION,
    MARK_SLOT,
    NEVER,
    NEXT,
    SEGMENT,
    SEGMENT_SEEN,
    SINCE,
    STATUS,
    TIME,
    UNKNOWN_LABELS,
    WAITING,
    WAITING_FULL,
    WAITING_USED,
    WATERMARK,
)
from worker.features.positions import find_same, upper_bound
from worker.features.slots import find_slot, take_slot
from worker.records import MISSING

Ints = NDArray[np.int64]


@kernel
def admit_label(
    key: NDArray[np.uint64],
    t: int,
    identity: int,
    offset: int,
    mark: Ints,
    table: Ints,
    meta: Ints,
    pool: Ints,
    waiting: Ints,
    scalars: Ints,
) -> bool:
    """Find whose label it is, or let it wait; False, with STATUS, for want of room."""
    slot = find_slot(key[0], key[1], table, meta)
    if slot >= 0:
        row = meta[slot]
        if offset < row[FOLDED_UNTIL]:
            return True
        own = find_same(row, pool, upper_bound(row, pool, t), t, identity)
        if own >= 0:
            row[SEGMENT_SEEN] = scalars[SEGMENT]
            mark[MARK_SLOT], mark[MARK_POSITION] = slot, own
            return True
    if _is_past(t, scalars):
        scalars[UNKNOWN_LABELS] += 1
        return True
    if slot < 0 and mark[MARK_LABEL] == NEVER:
        return True
    if slot < 0:
        slot = take_slot(key[0], key[1], table, meta, scalars)
        if slot < 0:
            return False
    return put_waiting(meta[slot], t, identity, mark[MARK_LABEL], waiting, scalars)


@kernel
def put_waiting(
    row: Ints, t: int, identity: int, since: int, waiting: Ints, scalars: Ints
) -> bool:
    """Let a label wait; the last one of a transaction holds. False: no room."""
    take_waiting(row, t, identity, waiting, scalars)
    if since == NEVER:
        return True
    place = scalars[FREE_WAITING] - 1
    if place >= 0:
        scalars[FREE_WAITING] = waiting[place, NEXT]
    elif scalars[WAITING_USED] < waiting.shape[0]:
        place = scalars[WAITING_USED]
        scalars[WAITING_USED] += 1
    else:
        scalars[STATUS] = WAITING_FULL
        return False
    waiting[place, TIME] = t
    waiting[place, ID] = identity
    waiting[place, SINCE] = since
    waiting[place, NEXT] = row[WAITING]
    row[WAITING] = place + 1
    return True


@kernel
def take_waiting(row: Ints, t: int, identity: int, waiting: Ints, scalars: Ints) -> int:
    """Remove the label that waits for a transaction; its time, or NEVER."""
    before, entry = 0, row[WAITING]
    while entry:
        place = entry - 1
        if waiting[place, TIME] == t and waiting[place, ID] == identity:
            _unlink(row, before, place, waiting, scalars)
            return int(waiting[place, SINCE])
        before, entry = entry, waiting[place, NEXT]
    return NEVER


@kernel
def drop_waiting(row: Ints, waiting: Ints, scalars: Ints) -> None:
    """Forget every label that waits with a key."""
    while row[WAITING]:
        _unlink(row, 0, row[WAITING] - 1, waiting, scalars)


@kernel
def expire_waiting(row: Ints, waiting: Ints, scalars: Ints) -> int:
    """Forget labels whose transaction would be late by now; how many are left."""
    left, before, entry = 0, 0, row[WAITING]
    while entry:
        place = entry - 1
        entry = waiting[place, NEXT]
        if _is_past(waiting[place, TIME], scalars):
            _unlink(row, before, place, waiting, scalars)
        else:
            before = place + 1
            left += 1
    return left


@kernel
def _is_past(t: int, scalars: Ints) -> bool:
    """Whether an event of that time would be late."""
    watermark = scalars[WATERMARK]
    return bool(watermark != MISSING and t < watermark - scalars[LATENESS])


@kernel
def _unlink(row: Ints, before: int, place: int, waiting: Ints, scalars: Ints) -> None:
    following = waiting[place, NEXT]
    if before:
        waiting[before - 1, NEXT] = following
    else:
        row[WAITING] = following
    waiting[place, NEXT] = scalars[FREE_WAITING]
    scalars[FREE_WAITING] = place + 1
