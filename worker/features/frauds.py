"""Statistics over confirmed frauds: prefix sums that a label corrects when it comes.

Every stored event carries how many events and how many frauds its key had before it,
as far as known. A label changes the prefixes behind its event, O(events since then),
which few labels do: most confirm that nothing happened. A window costs two reads, the
newest fraud or the end of a streak a binary search.

A label of time s counts for events at or after s only. The prefixes hold every label
so far, so an event that is older than one of its key's labels reads its window.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.features.kernel import kernel
from worker.features.layout import (
    BLOCK,
    CAPACITY,
    FIRST_EDGE,
    FRAUD_COUNT,
    FRAUD_RATE,
    FRAUD_STREAK,
    FRAUD_STREAK_SECONDS,
    KIND,
    LAST_LABEL,
    MARK_LABEL,
    MARK_POSITION,
    MARK_SLOT,
    MARK_WAITED,
    NEVER,
    NOT_STORED,
    OP_COLUMN,
    OP_END,
    OP_START,
    OP_STATISTIC,
    SECONDS_SINCE_FRAUD,
    SELF,
    SLOT,
    TAIL,
    TAIL_AFTER,
    TIME,
)
from worker.records import MISSING

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# Places in `words`: two words in the rows of `pool`, then two in those of `meta`. The
# tally counts events in its lower half and frauds in its upper one; `meta` has the
# total. The other is when an event's label is known, and the latest such time.
_TALLY, _SINCE, _TOTAL, _LATEST = 0, 1, 2, 3

_EVENT, _FRAUD = 1, 1 << 32
_LOWER = _FRAUD - 1


@kernel
def fold_frauds(
    first: int,
    last: int,
    admitted: Ints,
    marks: Ints,
    times: Ints,
    holds: Ints,
    pool: Ints,
    meta: Ints,
    words: Ints,
    ops: Ints,
    empty: Floats,
    out: Floats,
) -> None:
    """Store events and apply labels in log order, and write each event's statistics.

    marks : (n, MARK_COLUMNS). holds : (n,) int64, MISSING where the condition of the
    measure does not hold. words : (4,) int64, see above. out : (n, columns).
    """
    for i in range(first, last):
        if marks[i, MARK_LABEL] != MISSING:
            _apply(marks[i], pool, meta, words)
            continue
        record = admitted[i]
        if record[KIND] != NOT_STORED:
            since = marks[i, MARK_WAITED] if holds[i] != MISSING else MISSING
            _store(record, since, pool, meta, words)
        for o in range(ops.shape[0]):
            out[i, ops[o, OP_COLUMN]] = _statistic(
                record, times[i], pool, meta, words, ops[o], empty[o]
            )


@kernel
def _store(record: Ints, since: int, pool: Ints, meta: Ints, words: Ints) -> None:
    """Write the tally before a stored event, and add the event to all behind it."""
    row = meta[record[SLOT]]
    block, mask = row[BLOCK], row[CAPACITY] - 1
    own, tail = record[SELF], record[TAIL_AFTER]
    at, word = block + (own & mask), words[_TALLY]
    if own + 1 == tail:
        pool[at, word] = row[words[_TOTAL]]
    else:
        pool[at, word] = pool[block + ((own + 1) & mask), word]
    _add(_weight(since), own, tail, row, pool, words)
    pool[at, words[_SINCE]] = since
    if since not in (NEVER, MISSING):
        row[words[_LATEST]] = max(row[words[_LATEST]], since)


@kernel
def _apply(mark: Ints, pool: Ints, meta: Ints, words: Ints) -> None:
    """Let a label count, or take back what an earlier one said."""
    own, since = mark[MARK_POSITION], mark[MARK_LABEL]
    if own < 0:
        return
    row = meta[mark[MARK_SLOT]]
    place = row[BLOCK] + (own & (row[CAPACITY] - 1))
    before = pool[place, words[_SINCE]]
    if before == MISSING:
        return
    pool[place, words[_SINCE]] = since
    if since != NEVER:
        row[words[_LATEST]] = max(row[words[_LATEST]], since)
    if (since == NEVER) != (before == NEVER):
        # Rows of events that follow in this batch are written again with their turn.
        added = _weight(since) - _weight(before)
        _add(added, own, row[TAIL], row, pool, words)


@kernel
def _weight(since: int) -> int:
    """What an event adds to a tally."""
    if since == MISSING:
        return 0
    return _EVENT if since == NEVER else _EVENT + _FRAUD


@kernel
def _add(added: int, own: int, tail: int, row: Ints, pool: Ints, words: Ints) -> None:
    block, mask = row[BLOCK], row[CAPACITY] - 1
    for p in range(own + 1, tail):
        pool[block + (p & mask), words[_TALLY]] += added
    row[words[_TOTAL]] += added


@kernel
def _statistic(
    record: Ints,
    t: int,
    pool: Ints,
    meta: Ints,
    words: Ints,
    op: Ints,
    empty: float,
) -> float:
    start, end = record[FIRST_EDGE + op[OP_START]], record[FIRST_EDGE + op[OP_END]]
    statistic = op[OP_STATISTIC]
    if end <= start:
        return 0.0 if statistic in (FRAUD_COUNT, FRAUD_STREAK) else empty
    row, tail = meta[record[SLOT]], record[TAIL_AFTER]
    if t < row[words[_LATEST]]:
        found = _read(start, end, t, row, pool, words)
    elif statistic in (FRAUD_COUNT, FRAUD_RATE):
        tally = _between(start, end, tail, row, pool, words)
        found = (tally >> 32, tally & _LOWER, -1, -1, 0, -1)
    else:
        found = _search(start, end, tail, row, pool, words)
    if statistic in (SECONDS_SINCE_FRAUD, FRAUD_STREAK_SECONDS):
        p = found[3] if statistic == SECONDS_SINCE_FRAUD else found[5]
        if p < 0:
            return empty
        place = row[BLOCK] + (p & (row[CAPACITY] - 1))
        return float((t - pool[place, TIME]) / 1000.0)
    return _value(statistic, found, empty)


@kernel
def _value(
    statistic: int, found: tuple[int, int, int, int, int, int], empty: float
) -> float:
    frauds, events, newest, newest_fraud, streak, _ = found
    value = empty
    if statistic == FRAUD_COUNT:
        value = float(frauds)
    elif statistic == FRAUD_STREAK:
        value = float(streak)
    elif statistic == FRAUD_RATE and events:
        value = float(frauds / events)
    elif statistic == LAST_LABEL and newest >= 0:
        value = 1.0 if newest == newest_fraud else 0.0
    return value


@kernel
def _read(
    start: int, end: int, t: int, row: Ints, pool: Ints, words: Ints
) -> tuple[int, int, int, int, int, int]:
    """What a window holds, from the labels known at t, event by event.

    How many frauds and events; the newest event and the newest fraud; how many frauds
    follow the newest genuine event, and the first of them. Positions, -1 for none.
    """
    block, mask = row[BLOCK], row[CAPACITY] - 1
    frauds, events, newest, newest_fraud, streak, streak_first = 0, 0, -1, -1, 0, -1
    for p in range(end - 1, start - 1, -1):
        since = pool[block + (p & mask), words[_SINCE]]
        if since == MISSING:
            continue
        events += 1
        newest = max(newest, p)
        if since <= t:
            frauds += 1
            newest_fraud = max(newest_fraud, p)
            if frauds == events:
                streak, streak_first = frauds, p
    return frauds, events, newest, newest_fraud, streak, streak_first


@kernel
def _search(
    start: int, end: int, tail: int, row: Ints, pool: Ints, words: Ints
) -> tuple[int, int, int, int, int, int]:
    """The same as `_read` where every label is known: by binary search."""
    total = _between(start, end, tail, row, pool, words)
    frauds, events = total >> 32, total & _LOWER
    genuine = events - frauds
    newest, newest_fraud, after_genuine = -1, -1, start
    if events:
        newest = _nth(0, events, start, end, tail, row, pool, words)
    if frauds:
        newest_fraud = _nth(1, frauds, start, end, tail, row, pool, words)
    if genuine:
        after_genuine = _nth(2, genuine, start, end, tail, row, pool, words) + 1
    streak = _between(after_genuine, end, tail, row, pool, words) >> 32
    streak_first = -1
    if streak:
        before = frauds - streak
        streak_first = _nth(1, before + 1, start, end, tail, row, pool, words)
    return frauds, events, newest, newest_fraud, streak, streak_first


@kernel
def _nth(
    kind: int,
    n: int,
    start: int,
    end: int,
    tail: int,
    row: Ints,
    pool: Ints,
    words: Ints,
) -> int:
    """Position of the n-th event of a window; kind 1: fraud, 2: genuine one."""
    low, high = start, end - 1
    while low < high:
        middle = (low + high) >> 1
        tally = _between(start, middle + 1, tail, row, pool, words)
        frauds, events = tally >> 32, tally & _LOWER
        count = events if kind == 0 else frauds if kind == 1 else events - frauds
        if count >= n:
            high = middle
        else:
            low = middle + 1
    return int(low)


@kernel
def _between(
    start: int, end: int, tail: int, row: Ints, pool: Ints, words: Ints
) -> int:
    """Tally of positions [start, end)."""
    return _tally(end, tail, row, pool, words) - _tally(start, tail, row, pool, words)


@kernel
def _tally(position: int, tail: int, row: Ints, pool: Ints, words: Ints) -> int:
    """Tally of all events before a position."""
    if position >= tail:
        return int(row[words[_TOTAL]])
    return int(pool[row[BLOCK] + (position & (row[CAPACITY] - 1)), words[_TALLY]])
