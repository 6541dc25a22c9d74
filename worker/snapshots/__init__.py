"""Snapshots of states: written in slices beside the loop, verified when loaded."""

from worker.snapshots.file import SnapshotIdentity, SoundSnapshot
from worker.snapshots.reader import (
    SLICE_EVENTS,
    Read,
    ReadEnd,
    ReadItem,
    read_in_thread,
    read_items,
)
from worker.snapshots.store import SnapshotStore
from worker.snapshots.writer import SnapshotWriter

__all__ = [
    "SLICE_EVENTS",
    "Read",
    "ReadEnd",
    "ReadItem",
    "SnapshotIdentity",
    "SnapshotStore",
    "SnapshotWriter",
    "SoundSnapshot",
    "read_in_thread",
    "read_items",
]
