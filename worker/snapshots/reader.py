"""Reading snapshots beside the loop: a thread verifies and reads, the loop takes.

Nothing reaches the loop that was not found sound. What the thread holds ready is
bounded, however large the file is.
"""

from __future__ import annotations

import enum
import logging
import queue
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack
from typing import Protocol, TypeAlias

from worker.features import StateSlice
from worker.records import TopicPartition
from worker.snapshots.file import SnapshotIdentity, SoundSnapshot
from worker.snapshots.store import SnapshotStore

_LOG = logging.getLogger(__name__)

#: Events handed over at once: taken in within 1 to 2 ms where memory is new.
SLICE_EVENTS = 8192

#: Items that may wait for the loop; bounds the memory that a read takes.
_WAITING_ITEMS = 8


class ReadEnd(enum.Enum):
    """How a read ends.

    WHOLE: everything of the snapshot has come. NONE: there is no usable one, or none
    any more; whatever has come must not be used.
    """

    WHOLE = "whole"
    NONE = "none"


#: A snapshot announces itself, and that its slices follow, for an empty state.
ReadItem: TypeAlias = SoundSnapshot | StateSlice | ReadEnd


class Read(Protocol):
    """What comes out of a partition's files, item by item."""

    def take(self) -> ReadItem | None:
        """Return the next item; None while it is not there yet."""
        ...

    def abandon(self) -> None:
        """Let the reader go: nobody takes from it any more."""
        ...


def read_items(
    store: SnapshotStore,
    place: TopicPartition,
    identity: SnapshotIdentity,
    offsets: range,
    *,
    slice_events: int = SLICE_EVENTS,
) -> Generator[ReadItem]:
    """Yield the newest usable snapshot, then its slices, then how it ended.

    Where a sound one cannot be read to its end, an older one begins.
    """
    for snapshot in store.usable(place, identity, offsets):
        with snapshot:
            yield snapshot
            try:
                yield from snapshot.slices(slice_events)
            except OSError as error:
                facts = {"partition": place.partition, "reason": error.strerror}
                _LOG.warning("snapshot_read_failed", extra=facts)
                continue
        yield ReadEnd.WHOLE
        return
    yield ReadEnd.NONE


def read_in_thread(sources: Iterable[Generator[ReadItem]]) -> Sequence[Read]:
    """Read one source after the other in a thread of its own."""
    reads = [_ThreadedRead(items) for items in sources]

    def run() -> None:
        # Each is run, whatever becomes of those before it: the loop waits for its end.
        with ExitStack() as last_first:
            for read in reversed(reads):
                last_first.callback(read.run)

    if reads:
        threading.Thread(target=run, name="restore", daemon=True).start()
    return reads


class _ThreadedRead:
    """Items on their way from the thread to the loop."""

    def __init__(self, items: Generator[ReadItem]):
        self._items = items
        self._ready: queue.Queue[ReadItem] = queue.Queue(_WAITING_ITEMS)
        self._is_abandoned = False

    def take(self) -> ReadItem | None:
        try:
            return self._ready.get_nowait()
        except queue.Empty:
            return None

    def abandon(self) -> None:
        self._is_abandoned = True
        # Where the thread waits for room it finds some now, and then looks up.
        while self.take() is not None:
            pass

    def run(self) -> None:
        """Run in the thread."""
        try:
            for item in self._items:
                if self._is_abandoned:
                    return
                self._ready.put(item)
        finally:
            self._items.close()
            # Also after a failure that nobody thought of: the log is always right.
            self._ready.put(ReadEnd.NONE)
