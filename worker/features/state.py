"""The state of one entity on one partition: the live events of its keys, in arrays.

Owns memory and limits. What is freed, and when, can never be observed in a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.errors import StateUnusable
from worker.features import layout
from worker.features.admission import admit
from worker.features.admitted import Admission
from worker.features.plan import StateLayout
from worker.features.pool import grown, with_more_room
from worker.features.sweep import enter_all, sweep
from worker.features.transfer import copy_in, copy_out, count_live
from worker.records import MISSING

Ints = NDArray[np.int64]

#: Live keys and events of one partition beyond which the worker stops: with 24 to 64
#: bytes an event, half a billion events fill the memory of a large machine.
DEFAULT_MAX_KEYS = 50_000_000
DEFAULT_MAX_EVENTS = 500_000_000

#: Slots looked at for each record, so that memory follows the number of live keys.
_SWEPT_PER_RECORD = 2

#: Fewer are left for a later batch: a call costs as much.
_SWEPT_AT_ONCE = 64

_FIRST_SLOTS = 256
_FIRST_ROWS = 1024
_FIRST_WAITING = 64


@dataclass(frozen=True, slots=True)
class StateSlice:
    """Some keys with their live events, as of one offset of the log.

    keys : (k, columns) int64. events : (e, words) int64, grouped by key; after a key's
    events come the labels that wait with it.
    """

    keys: Ints
    events: Ints


class FeatureState:
    """Live events of one entity's keys; advanced by `FeatureTransform.transform`.

    Raises
    ------
    StateUnusable
        When an event would exceed `max_keys` or `max_events`.
    """

    def __init__(
        self,
        state_layout: StateLayout,
        *,
        max_keys: int = DEFAULT_MAX_KEYS,
        max_events: int = DEFAULT_MAX_EVENTS,
    ) -> None:
        self._layout = state_layout
        self._unswept = 0
        self._table = np.zeros(2 * _FIRST_SLOTS, np.int64)
        self._meta = np.zeros((_FIRST_SLOTS, state_layout.meta_columns), np.int64)
        self._pool = np.zeros((_FIRST_ROWS, state_layout.row_words), np.int64)
        self._free = np.full(layout.SIZE_CLASSES, -1, np.int64)
        self._waiting = np.zeros((_FIRST_WAITING, layout.WAITING_WORDS), np.int64)
        self._scalars = np.zeros(layout.SCALARS, np.int64)
        scalars = self._scalars
        scalars[layout.WATERMARK] = scalars[layout.EXPIRED] = MISSING
        scalars[layout.FREE_SLOT] = -1
        scalars[layout.LATENESS] = state_layout.lateness_ms
        scalars[layout.RETENTION] = state_layout.retention_ms
        scalars[layout.SHIFTED_WORDS] = state_layout.shifted_words
        scalars[layout.MAX_KEYS] = max_keys
        scalars[layout.MAX_EVENTS] = max_events

    @property
    def watermark_ms(self) -> int:
        """Largest event time seen, or MISSING."""
        return self._scalars.item(layout.WATERMARK)

    @property
    def key_count(self) -> int:
        """Keys held; those without live events are freed little by little."""
        return int(self._scalars[layout.KEYS])

    @property
    def event_count(self) -> int:
        """Events held."""
        return int(self._scalars[layout.EVENTS])

    @property
    def unknown_label_count(self) -> int:
        """Labels so far whose transaction was not remembered, or is no more."""
        return int(self._scalars[layout.UNKNOWN_LABELS])

    @property
    def memory_bytes(self) -> int:
        """Size of the arrays."""
        arrays = (self._table, self._meta, self._pool, self._free, self._waiting)
        return sum(array.nbytes for array in arrays)

    @property
    def pool(self) -> Ints:
        """The events' rows; may be another array after each admission."""
        return self._pool

    @property
    def meta(self) -> Ints:
        """The keys' rows; may be another array after each admission."""
        return self._meta

    def begin(self, record_count: int) -> None:
        """Prepare for a batch: what is dead by now may be overwritten during it."""
        self._expire()
        self._unswept += _SWEPT_PER_RECORD * record_count
        if self._unswept >= _SWEPT_AT_ONCE:
            self._sweep(self._unswept)
            self._unswept = 0

    def admit_segment(
        self,
        first: int,
        last: int,
        keys: NDArray[np.uint64],
        ids: Ints,
        times: Ints,
        offsets: Ints,
        admission: Admission,
    ) -> int:
        """Admit records [first, last) as far as one segment goes; return its end."""
        scalars = self._scalars
        scalars[layout.SEGMENT] = scalars.item(layout.SEGMENT) + 1
        start = first
        while True:
            stop = admit(
                start,
                last,
                keys,
                ids,
                times,
                offsets,
                self._table,
                self._meta,
                self._pool,
                self._free,
                self._layout.queues,
                self._layout.edges,
                scalars,
                self._waiting,
                admission.marks,
                admission.records,
                admission.flags,
                admission.watermarks_ms,
            )
            status = scalars.item(layout.STATUS)
            is_limit = status in (layout.KEY_LIMIT, layout.EVENT_LIMIT)
            if status in (layout.DONE, layout.SEGMENT_ENDS):
                return int(stop)
            if is_limit and stop > first:
                return int(stop)  # compute what was admitted, then free the dead
            self._make_room(status)
            start = int(stop)

    @property
    def slot_count(self) -> int:
        """Slots in use or free again: what `copy_out` walks through."""
        return int(self._scalars[layout.SLOTS_USED])

    def copy_out(self, first: int, last: int, next_offset: int) -> StateSlice:
        """Copy the live keys in slots [first, last), folded up to `next_offset`."""
        last = min(last, self.slot_count)
        keys, events = count_live(
            first, last, self._meta, self._pool, self._waiting, self._scalars
        )
        state_slice = StateSlice(
            np.empty((keys, self._meta.shape[1]), np.int64),
            np.empty((events, self._pool.shape[1]), np.int64),
        )
        copy_out(
            first,
            last,
            next_offset,
            self._meta,
            self._pool,
            self._waiting,
            self._layout.queues,
            state_slice.keys,
            state_slice.events,
        )
        return state_slice

    def take_in(self, state_slice: StateSlice) -> None:
        """Take in keys of a snapshot, made under the same state fingerprint.

        Raises
        ------
        StateUnusable
            When they exceed a limit.
        """
        done, at = 0, 0
        while True:
            self._scalars[layout.STATUS] = layout.DONE
            done, at = copy_in(
                done,
                at,
                state_slice.keys,
                state_slice.events,
                self._table,
                self._meta,
                self._pool,
                self._free,
                self._waiting,
                self._layout.queues,
                self._scalars,
            )
            if self._scalars[layout.STATUS] == layout.DONE:
                return
            self._make_room(int(self._scalars[layout.STATUS]))

    def start_at(self, watermark_ms: int) -> None:
        """Set the watermark of an empty state: that of the log where it begins."""
        self._scalars[layout.WATERMARK] = watermark_ms

    def reserve(self, keys: int, events: int) -> None:
        """Make room in an empty state, so that taking in need not copy what is there.

        Rings are powers of two, hence up to twice their events; what is never touched
        costs addresses and no memory.
        """
        rows = 2 * events + layout.MIN_CAPACITY * keys
        if keys > len(self._meta):
            self._meta = np.zeros((keys, self._meta.shape[1]), np.int64)
        if rows > len(self._pool):
            self._pool = np.empty((rows, self._pool.shape[1]), np.int64)
        entries = len(self._table)
        while entries < 2 * (keys + 1):
            entries *= 2
        if entries > len(self._table):
            self._table = np.zeros(entries, np.int64)

    def _make_room(self, status: int) -> None:
        if status == layout.POOL_FULL:
            self._pool = with_more_room(self._pool, self._free, self._scalars)
        elif status == layout.SLOTS_FULL:
            self._grow_slots()
        elif status == layout.WAITING_FULL:
            self._waiting = grown(self._waiting, len(self._waiting))
        else:
            self._free_for_limit(status)

    def _grow_slots(self) -> None:
        scalars = self._scalars
        if scalars[layout.SLOTS_USED] == len(self._meta):
            self._meta = grown(self._meta, len(self._meta))
        if 2 * (scalars[layout.KEYS] + 1) > len(self._table):
            self._table = np.zeros(2 * len(self._table), np.int64)
            enter_all(self._table, self._meta, scalars)

    def _free_for_limit(self, status: int) -> None:
        """Free everything dead; live state is never dropped.

        Called before the first record of a segment, so nothing admitted still needs
        what has expired meanwhile.
        """
        self._expire()
        self._sweep(int(self._scalars[layout.SLOTS_USED]))
        counted, limit, setting = (
            (layout.KEYS, layout.MAX_KEYS, "FRAUD_MAX_KEYS")
            if status == layout.KEY_LIMIT
            else (layout.EVENTS, layout.MAX_EVENTS, "FRAUD_MAX_EVENTS")
        )
        if self._scalars[counted] >= self._scalars[limit]:
            what = "keys" if status == layout.KEY_LIMIT else "events"
            msg = (
                f"{self._scalars[limit]} live {what} on one partition, the limit set "
                f"by {setting}: raise it, or use more partitions"
            )
            raise StateUnusable(msg)

    def _expire(self) -> None:
        scalars = self._scalars
        watermark_ms = scalars.item(layout.WATERMARK)
        if watermark_ms != MISSING:
            scalars[layout.EXPIRED] = watermark_ms - scalars.item(layout.RETENTION)

    def _sweep(self, slots: int) -> None:
        arrays = (self._table, self._meta, self._pool, self._free, self._waiting)
        sweep(slots, *arrays, self._scalars)
