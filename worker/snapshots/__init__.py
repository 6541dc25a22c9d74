"""Snapshots of states: written in slices beside the loop, verified when loaded."""

from worker.snapshots.file import Snapshot, SnapshotIdentity, read_snapshot
from worker.snapshots.store import SnapshotStore
from worker.snapshots.writer import SnapshotWriter

__all__ = [
    "Snapshot",
    "SnapshotIdentity",
    "SnapshotStore",
    "SnapshotWriter",
    "read_snapshot",
]
