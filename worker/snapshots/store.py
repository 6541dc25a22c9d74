"""The snapshots of one worker's partitions on disk: which there are, which to use.

    <directory>/<topic>/<partition>/<next offset>.snapshot

A file bears its name only when it is whole (written elsewhere, then renamed). Which
one may be used is decided here; what to do without one is recovery's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from worker.records import TopicPartition
from worker.snapshots.file import (
    SnapshotIdentity,
    SnapshotUnsound,
    SoundSnapshot,
    open_snapshot,
    read_header,
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

    def has_any(self, place: TopicPartition) -> bool:
        """Whether there is any file to look at."""
        return bool(self._newest_first(place))

    def usable(
        self, place: TopicPartition, identity: SnapshotIdentity, offsets: range
    ) -> Iterator[SoundSnapshot]:
        """Yield the sound snapshots of this very partition and state, newest first.

        Each is open: the caller closes it. What is passed over is logged, with the
        reason.

        Parameters
        ----------
        offsets
            From where the log is kept up to the committed offset, which included. A
            snapshot that was completed after that holds records that will be answered
            again, hence is of no use.
        """
        for path in self._newest_first(place):
            try:
                reason = _unfit(path, identity, offsets)
                snapshot = None if reason else open_snapshot(path)
            except (SnapshotUnsound, OSError) as error:
                reason, snapshot = str(error), None
            if snapshot is not None and snapshot.complete_at >= offsets.stop:
                reason = f"complete only at {snapshot.complete_at}, beyond the commit"
                snapshot.close()
            if reason is None and snapshot is not None:
                yield snapshot
            else:
                _LOG.warning(
                    "snapshot_passed_over", extra={"file": path.name, "reason": reason}
                )

    def prune(self, place: TopicPartition) -> None:
        """Remove all but the newest few."""
        for path in self._newest_first(place)[KEPT:]:
            path.unlink(missing_ok=True)

    def _newest_first(self, place: TopicPartition) -> list[Path]:
        return sorted(self._folder(place).glob(f"*{_SUFFIX}"), reverse=True)

    def _folder(self, place: TopicPartition) -> Path:
        return self.directory / place.topic / str(place.partition)


def _unfit(path: Path, identity: SnapshotIdentity, offsets: range) -> str | None:
    """Say why a snapshot does not belong here, by its header alone."""
    header = read_header(path)
    for name in identity.__struct_fields__:
        if getattr(header.identity, name) != getattr(identity, name):
            return f"of another {name.replace('_', ' ')}"
    if header.next_offset >= offsets.stop:
        return f"of offset {header.next_offset}, beyond the commit"
    if header.next_offset < offsets.start:
        return f"of offset {header.next_offset}, where the log is no longer kept"
    return None
