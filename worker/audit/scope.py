"""Which records of a partition an audit looks at, and where their fold begins. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.audit.fold import FoldStart
from worker.errors import StateUnusable
from worker.records import LogBounds, NextOffset, TopicPartition
from worker.recovery import CommitMetadata, Reach, start_at_earliest


@dataclass(frozen=True, slots=True)
class Scope:
    """The audited range of a partition.

    Attributes
    ----------
    fold_from
        First offset to read; records below `first` are folded and not asked for.
    first, limit, end
        Records in [first, limit) must have been answered; those in [limit, end) were
        not yet committed when the audit stopped waiting.
    notices
        What a reader of the report should know about this choice.
    """

    place: TopicPartition
    fold_from: int
    first: int
    limit: int
    end: int
    start: FoldStart
    notices: list[str] = field(default_factory=list)


def scope_of(
    place: TopicPartition,
    bounds: LogBounds,
    committed: NextOffset | None,
    reach: Reach,
) -> Scope:
    """Decide what to audit.

    Parameters
    ----------
    bounds
        Its end is where the audit ends, whatever is written meanwhile.
    committed
        Of the group; what it says about the state decides where the fold begins.

    Raises
    ------
    StateUnusable
        The commit cannot be read, or is not of this log.
    """
    name = f"{place.topic}/{place.partition}"
    if committed is None:
        return _nothing_answered(place, bounds, f"{name}: the group never committed")
    if committed.offset > bounds.end:
        raise StateUnusable(
            f"{name}: offset {committed.offset} is committed but the log ends at "
            f"{bounds.end}. The topic was made anew; audit the group that reads it now"
        )
    metadata = CommitMetadata.decode(committed.metadata, place)
    limit = min(committed.offset, bounds.end)
    # What this says of a fold of all that is left holds for an audit, too.
    left = CommitMetadata.decode(start_at_earliest(bounds, reach).metadata, place)
    assert left is not None
    notices = []
    if metadata is None:
        notices.append(f"{name}: committed by another program; audited from its start")
        metadata = left
    comparable_from_ms = None
    if bounds.start > metadata.fold_start:
        notices.append(
            f"{name}: the log no longer holds offsets {metadata.fold_start} to "
            f"{bounds.start - 1}; scores that depend on them are not compared"
        )
        comparable_from_ms = left.incomplete_until_ms
    return Scope(
        place,
        max(bounds.start, min(metadata.fold_start, limit)),
        max(bounds.start, metadata.answered_from),
        max(bounds.start, limit),
        bounds.end,
        FoldStart(metadata.incomplete_until_ms, comparable_from_ms),
        notices,
    )


def _nothing_answered(place: TopicPartition, bounds: LogBounds, notice: str) -> Scope:
    start = bounds.start
    return Scope(place, start, start, start, bounds.end, FoldStart(), [notice])
