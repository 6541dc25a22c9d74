"""The snapshots of one worker's partitions on disk: which there are, which to use.

    <directory>/<topic>/<partition>/<next offset>.snapshot

A file bears its name only when it is whole (written elsewhere, then renamed). Which
one may be used is decided here; what to do without one is recovery's.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from worker.records import TopicPartition
from worker.snapshots.file import (
    Snapshot,
    SnapshotIdentity,
    SnapshotUnsound,
    read_header,
    read_snapshot,
)

_LOG = logging.getLogger(__name__)

#: Snapshots kept for each partition: the newest may be of an offset that was never
#: committed, or damaged.
KEPT = 3

_SUFFIX = ".snapshot"


@dataclass(frozen=True, slots=True)
class SnapshotStore:
    """A directory of snapshots."""

    directory: Path

    def path_of(self, place: TopicPartition, next_offset: int) -> Path:
        """Return the file of a snapshot."""
        return self._folder(place) / f"{next_offset:020d}{_SUFFIX}"

    def newest_usable(
        self, place: TopicPartition, identity: SnapshotIdentity, committed: int
    ) -> Snapshot | None:
        """Return the newest sound snapshot of this very partition and state.

        One that was completed after the committed offset holds records that will be
        answered again, hence is of no use. What is passed over is logged, with the
        reason.
        """
        for path in self._newest_first(place):
            try:
                reason = _unfit(path, identity, committed)
                snapshot = None if reason else read_snapshot(path)
            except (SnapshotUnsound, OSError) as error:
                reason, snapshot = str(error), None
            if snapshot is not None and snapshot.complete_at > committed:
                reason = f"complete only at {snapshot.complete_at}, beyond the commit"
            if reason is None and snapshot is not None:
                return snapshot
            _LOG.warning(
                "snapshot_passed_over", extra={"file": path.name, "reason": reason}
            )
        return None

    def prune(self, place: TopicPartition) -> None:
        """Remove all but the newest few."""
        for path in self._newest_first(place)[KEPT:]:
            path.unlink(missing_ok=True)

    def _newest_first(self, place: TopicPartition) -> list[Path]:
        return sorted(self._folder(place).glob(f"*{_SUFFIX}"), reverse=True)

    def _folder(self, place: TopicPartition) -> Path:
        return self.directory / place.topic / str(place.partition)


def _unfit(path: Path, identity: SnapshotIdentity, committed: int) -> str | None:
    """Say why a snapshot does not belong here, by its header alone."""
    header = read_header(path)
    for name in identity.__struct_fields__:
        if getattr(header.identity, name) != getattr(identity, name):
            return f"of another {name.replace('_', ' ')}"
    if header.next_offset > committed:
        return f"of offset {header.next_offset}, beyond the commit"
    return None
