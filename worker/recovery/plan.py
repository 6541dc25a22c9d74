"""Where the fold of an assigned partition starts again.

State is a pure fold of the log, so recovery is a choice of offsets: replay silently
from here, answer from there. Pure: it is told what the log holds and asks for nothing.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from worker.errors import StateUnusable
from worker.records import LogBounds, NextOffset, TopicPartition
from worker.recovery.metadata import CommitMetadata, name

_HOW_TO_GO_ON = (
    "Restore the records, or start once with FRAUD_COLD_START=true: the fold then "
    "starts at what is left, and every score that may lack history is flagged "
    "state_incomplete."
)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far back a row depends on the log.

    Attributes
    ----------
    horizon_ms
        Event time that the oldest window reaches back.
    retention_ms
        The horizon and the allowed lateness: how long an event stays in the state.
    max_ahead_ms
        How far an event time may lie ahead of its record's timestamp.
    """

    horizon_ms: int
    retention_ms: int
    max_ahead_ms: int

    def first_needed_ms(self, event_time_ms: int) -> int:
        """Records with an older timestamp cannot matter once this time was seen."""
        return event_time_ms - self.retention_ms - self.max_ahead_ms


@dataclass(frozen=True, slots=True)
class StartPlan:
    """How to take up a partition.

    Attributes
    ----------
    replay_from
        First offset to read. Records below `live_from` are folded and not answered.
    live_from
        First offset to answer: the committed one, unless input has been lost.
    fold_start, answered_from, incomplete_until_ms
        As in `CommitMetadata`, for the commits to come.
    """

    replay_from: int
    live_from: int
    fold_start: int
    answered_from: int
    incomplete_until_ms: int | None


def plan_start(
    place: TopicPartition,
    committed: NextOffset | None,
    bounds: LogBounds,
    *,
    first_needed: int | None,
    reach: Reach,
    cold_start: bool,
    snapshot_offset: int | None = None,
) -> StartPlan:
    """Decide where to read a partition that has been assigned.

    Parameters
    ----------
    committed
        What the group committed; None if it never did.
    first_needed
        The first offset kept whose record is as young as `needed_since_ms` asks; None
        where that asks for nothing, or where no record is.
    snapshot_offset
        Where a snapshot lets the replay start, at or before the committed offset.
    cold_start
        Go on with what is left where records are gone, and say so in the plan.

    Raises
    ------
    StateUnusable
        The log does not allow the right state to be built.
    """
    if committed is None:
        raise StateUnusable(never_committed(place))
    if committed.offset > bounds.end:
        raise StateUnusable(
            f"{name(place)}: offset {committed.offset} is committed but the log ends "
            f"at {bounds.end}. The topic was made anew or lost records; use another "
            "FRAUD_GROUP, or reset this group's offsets."
        )
    metadata = CommitMetadata.decode(committed.metadata, place)
    if metadata is None:
        metadata = all_that_is_left(bounds, reach, answered_from=committed.offset)
    if snapshot_offset is not None and snapshot_offset >= bounds.start:
        return _replay_from(snapshot_offset, committed.offset, metadata)
    gap = _what_is_missing(place, committed.offset, metadata, bounds, reach)
    if gap is None:
        replay = _replay(committed.offset, metadata, first_needed)
        return dataclasses.replace(
            replay, replay_from=max(replay.replay_from, bounds.start)
        )
    if not cold_start:
        raise StateUnusable(f"{gap}. {_HOW_TO_GO_ON}")
    return _start_cold(committed.offset, metadata, bounds, reach)


def needed_since_ms(committed: NextOffset, place: TopicPartition, reach: Reach) -> int:
    """Return the oldest record timestamp that the state at a commit depends on.

    0 where everything since the start of the fold is needed.

    Raises
    ------
    StateUnusable
        The commit's metadata cannot be read.
    """
    metadata = CommitMetadata.decode(committed.metadata, place)
    if metadata is None or metadata.watermark_ms is None:
        return 0
    return max(0, reach.first_needed_ms(metadata.watermark_ms))


def _replay(
    live_from: int, metadata: CommitMetadata, first_needed: int | None
) -> StartPlan:
    replay_from = metadata.fold_start
    if metadata.watermark_ms is not None and first_needed is not None:
        replay_from = max(replay_from, first_needed)
    return _replay_from(min(replay_from, live_from), live_from, metadata)


def _replay_from(
    replay_from: int, live_from: int, metadata: CommitMetadata
) -> StartPlan:
    return StartPlan(
        replay_from,
        live_from,
        metadata.fold_start,
        metadata.answered_from,
        metadata.incomplete_until_ms,
    )


def _what_is_missing(
    place: TopicPartition,
    live_from: int,
    metadata: CommitMetadata,
    bounds: LogBounds,
    reach: Reach,
) -> str | None:
    """Return what the log no longer holds although it is needed; None if nothing."""
    if bounds.start > live_from:
        return (
            f"{name(place)}: records {live_from} to {bounds.start - 1} have been "
            "removed before they were scored"
        )
    if bounds.start <= metadata.fold_start:
        return None
    # A first record older than needed proves that nothing needed lay before it.
    if metadata.watermark_ms is not None and bounds.removed_until_ms is not None:
        needed_since = reach.first_needed_ms(metadata.watermark_ms)
        if bounds.removed_until_ms < needed_since:
            return None
    return (
        f"{name(place)}: the state at offset {live_from} depends on records before "
        f"{bounds.start}, where the log now starts"
    )


def _start_cold(
    live_from: int, metadata: CommitMetadata, bounds: LogBounds, reach: Reach
) -> StartPlan:
    """Fold what is left; events that may miss some of what is gone are flagged."""
    # What was removed unread may be younger than the watermark of what was read.
    is_unread = bounds.start > live_from
    watermark = None if is_unread else metadata.watermark_ms
    ends = [metadata.incomplete_until_ms, _end_of_damage(watermark, bounds, reach)]
    first_live = max(live_from, bounds.start)
    return StartPlan(
        bounds.start,
        first_live,
        bounds.start,
        first_live,
        max((end for end in ends if end is not None), default=None),
    )


def all_that_is_left(
    bounds: LogBounds, reach: Reach, *, answered_from: int
) -> CommitMetadata:
    """Describe a fold of all that is kept, when what came before is unknown."""
    end_ms = _end_of_damage(None, bounds, reach)
    return CommitMetadata(None, bounds.start, answered_from, end_ms)


def _end_of_damage(
    watermark_ms: int | None, bounds: LogBounds, reach: Reach
) -> int | None:
    """Return from when on no event can miss a removed record; None without any.

    The event of a removed record lies at most `max_ahead_ms` ahead of its timestamp,
    and not beyond the watermark of the fold that it was part of.
    """
    if bounds.removed_until_ms is None:
        return None
    youngest = bounds.removed_until_ms + reach.max_ahead_ms
    if watermark_ms is not None:
        youngest = min(youngest, watermark_ms)
    return youngest + reach.horizon_ms


def never_committed(*places: TopicPartition) -> str:
    """Return the sentence for partitions that the group knows nothing about."""
    names = ", ".join(name(place) for place in places[:8])
    more = f" and {len(places) - 8} more" if len(places) > 8 else ""
    return (
        f"the group has committed nothing for {names}{more}. Partitions were added, or "
        "the commits expired; scoring there would start with the wrong state. Use "
        "another FRAUD_GROUP with FRAUD_START, or set the offsets of this one."
    )
