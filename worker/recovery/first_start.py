"""The first commits of a group: explicit, and for every partition at once."""

from __future__ import annotations

from collections.abc import Mapping

from worker.errors import StateUnusable
from worker.records import LogBounds, NextOffset, TopicPartition
from worker.recovery.metadata import CommitMetadata
from worker.recovery.plan import Reach, all_that_is_left, never_committed


def start_at_earliest(bounds: LogBounds, reach: Reach) -> NextOffset:
    """Return the first commit of a group that answers all that is kept."""
    left = all_that_is_left(bounds, reach, answered_from=bounds.start)
    return NextOffset(bounds.start, left.encode())


def start_at_latest(
    bounds: LogBounds, reach: Reach, *, first_needed: int | None
) -> NextOffset:
    """Return the first commit of a group that answers only what is yet to come.

    Parameters
    ----------
    first_needed
        Where the horizon before the end begins; None if no event was found there, and
        then all that is kept is folded.
    """
    left = all_that_is_left(bounds, reach, answered_from=bounds.end)
    if first_needed is not None and first_needed > bounds.start:
        left = CommitMetadata(None, first_needed, bounds.end)
    return NextOffset(bounds.end, left.encode())


def check_first_commits(
    committed: Mapping[TopicPartition, NextOffset | None],
) -> bool:
    """Return whether the group has started before.

    Raises
    ------
    StateUnusable
        It has on some partitions only: partitions were added, or commits expired.
    """
    missing = sorted(place for place, offset in committed.items() if offset is None)
    if missing and len(missing) < len(committed):
        raise StateUnusable(never_committed(*missing))
    return not missing
