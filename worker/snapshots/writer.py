"""Taking a snapshot while the loop goes on: it copies slices, a thread writes them.

The loop copies a few keys between two batches and never waits: while the thread is
busy, the next slice is simply taken later. Full disks and slow ones cost a snapshot,
never a score.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from worker.features import FeatureState, StateSlice
from worker.records import MISSING, TopicPartition
from worker.snapshots.file import SnapshotFileWriter, SnapshotHeader, SnapshotIdentity
from worker.snapshots.store import SnapshotStore

_LOG = logging.getLogger(__name__)

#: Slots copied at once: with 60 live events each, about 4 MB and 5 ms.
SLICE_SLOTS = 2048

#: Slices that may wait for the thread; bounds the memory that a snapshot takes.
_WAITING_SLICES = 2


@dataclass(slots=True)
class _Taking:
    """A snapshot being taken."""

    place: TopicPartition
    state: FeatureState
    next_slot: int = 0


class _File:
    """A snapshot being written: slices come through a queue, None ends it."""

    def __init__(self, header: SnapshotHeader, place: TopicPartition):
        self.header = header
        self.place = place
        self.slices: queue.SimpleQueue[tuple[StateSlice, int] | None] = (
            queue.SimpleQueue()
        )
        self.is_abandoned = False

    def is_behind(self) -> bool:
        """Whether as many slices wait as memory may hold."""
        return self.slices.qsize() >= _WAITING_SLICES


class SnapshotWriter:
    """Takes snapshots, of one partition after the other.

    Attributes
    ----------
    finished
        When the newest snapshot of each partition was complete, in seconds of the
        monotonic clock.
    next_offsets
        Up to where those snapshots hold the log.
    failures
        Snapshots that could not be written.
    """

    def __init__(self, store: SnapshotStore):
        self._store = store
        self._taking: _Taking | None = None
        self._file: _File | None = None
        self._thread: threading.Thread | None = None
        self.finished: dict[TopicPartition, float] = {}
        self.next_offsets: dict[TopicPartition, int] = {}
        self.failures = 0

    @property
    def is_busy(self) -> bool:
        """Whether a snapshot is being taken or written."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def place(self) -> TopicPartition | None:
        """The partition whose slices are still to be copied."""
        return None if self._taking is None else self._taking.place

    def begin(
        self,
        place: TopicPartition,
        state: FeatureState,
        identity: SnapshotIdentity,
        next_offset: int,
    ) -> None:
        """Start a snapshot of a partition whose records so far are all committed."""
        watermark = state.watermark_ms
        header = SnapshotHeader(
            identity=identity,
            next_offset=next_offset,
            watermark_ms=None if watermark == MISSING else watermark,
            key_columns=state.meta.shape[1],
            event_words=state.pool.shape[1],
        )
        self._taking = _Taking(place, state)
        self._file = _File(header, place)
        self._thread = threading.Thread(
            target=self._write, args=(self._file,), name="snapshot", daemon=True
        )
        self._thread.start()

    def step(self, next_offset: int) -> None:
        """Copy the next slice, unless the thread has not kept up.

        Called between two batches; `next_offset` is the partition's, committed.
        """
        taking, file = self._taking, self._file
        if taking is None or file is None:
            return
        if file.is_abandoned:
            self._taking = None
        elif not file.is_behind():
            last = taking.next_slot + SLICE_SLOTS
            copied = taking.state.copy_out(taking.next_slot, last, next_offset)
            file.slices.put((copied, next_offset))
            taking.next_slot = last
            if last >= taking.state.slot_count:
                self._taking = None
                file.slices.put(None)

    def abandon(self, place: TopicPartition) -> None:
        """Give up the snapshot of a partition that is no longer held."""
        file = self._file
        if self._taking is not None and file is not None and file.place == place:
            self._taking = None
            file.is_abandoned = True
            file.slices.put(None)

    def take_now(
        self,
        place: TopicPartition,
        state: FeatureState,
        identity: SnapshotIdentity,
        next_offset: int,
        *,
        timeout_seconds: float,
    ) -> None:
        """Take a whole snapshot at once: at the end, with nothing else to do."""
        deadline = time.monotonic() + timeout_seconds
        self.wait(timeout_seconds)
        if self.is_busy:
            return
        self.begin(place, state, identity, next_offset)
        while self._taking is not None and time.monotonic() < deadline:
            self.step(next_offset)
        self.abandon(place)
        self.wait(deadline - time.monotonic())

    def wait(self, timeout_seconds: float) -> None:
        """Let the thread finish, for at most so long."""
        if self._thread is not None:
            self._thread.join(max(timeout_seconds, 0.0))

    def _write(self, file: _File) -> None:
        """Run in the thread: write slices as they come, then name the file."""
        path = self._store.path_of(file.place, file.header.next_offset)
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if _write_slices(file, unfinished):
                unfinished.rename(path)
                self._store.prune(file.place)
                self.next_offsets[file.place] = file.header.next_offset
                self.finished[file.place] = time.monotonic()
        except OSError as error:
            file.is_abandoned = True
            self.failures += 1
            _LOG.warning(
                "snapshot_failed",
                extra={"partition": file.place.partition, "reason": error.strerror},
            )
        finally:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)


def _write_slices(file: _File, path: Path) -> bool:
    """Write a snapshot to a temporary file; False if it was given up."""
    with path.open("wb") as opened:
        writer = SnapshotFileWriter(opened, file.header)
        while (item := file.slices.get()) is not None:
            writer.add(*item)
        if file.is_abandoned:
            return False
        writer.finish()
        opened.flush()
        os.fsync(opened.fileno())
    return True
