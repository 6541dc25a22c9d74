"""A plan is right when nobody can tell by the answers that there was a restart.

    log     . . . x . . x . x x . | . . .
                    ^ replay_from ^ live_from

The toy fold below keeps every event of the last `RETENTION` before the watermark, and
answers an event with all of them in its window (t - HORIZON, t].
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from worker.records import LogBounds, NextOffset, TopicPartition
from worker.recovery import (
    CommitMetadata,
    Reach,
    StartPlan,
    needed_since_ms,
    plan_start,
    start_at_latest,
)

PLACE = TopicPartition("transactions", 0)
HORIZON, LATENESS, AHEAD = 50, 20, 4
RETENTION = HORIZON + LATENESS
REACH = Reach(HORIZON, RETENTION, AHEAD)


@dataclass(frozen=True)
class Record:
    timestamp_ms: int
    event_ms: int


@dataclass(frozen=True)
class Answer:
    """What an event saw: offsets of the events in its window, and if it was late."""

    event_ms: int
    seen: tuple[int, ...]
    is_late: bool


def fold(log: list[Record], start: int, end: int) -> tuple[dict[int, Answer], int]:
    """Fold [start, end); return the answers by offset, and the watermark."""
    kept: dict[int, int] = {}
    watermark = -(10**9)
    answers = {}
    for offset in range(start, end):
        now = log[offset].event_ms
        is_late = now < watermark - LATENESS
        watermark = max(watermark, now)
        if not is_late:
            kept[offset] = now
        seen = tuple(
            other
            for other, time_ms in kept.items()
            if now - HORIZON < time_ms <= now and time_ms > watermark - RETENTION
        )
        answers[offset] = Answer(now, seen, is_late)
    return answers, watermark


def plan_of(
    log: list[Record], committed: int, bounds: LogBounds, *, cold_start: bool = False
) -> StartPlan:
    _, watermark = fold(log, 0, committed)
    metadata = CommitMetadata(watermark if committed else None, 0, 0)
    offset = NextOffset(committed, metadata.encode())
    since_ms = needed_since_ms(offset, PLACE, REACH)
    return plan_start(
        PLACE,
        offset,
        bounds,
        first_needed=first_at(log, bounds.start, since_ms),
        reach=REACH,
        cold_start=cold_start,
    )


def first_at(log: list[Record], start: int, since_ms: int) -> int | None:
    """Return what the broker says: the first offset kept that is no older."""
    for offset in range(start, len(log)):
        if log[offset].timestamp_ms >= since_ms:
            return offset
    return None


records = st.builds(
    lambda timestamp_ms, behind: Record(timestamp_ms, timestamp_ms + AHEAD - behind),
    st.integers(200, 600),
    st.integers(0, 150),
)
logs = st.lists(records, min_size=1, max_size=40)


@given(logs, st.integers(0, 40))
def test_a_restart_changes_no_answer(log: list[Record], committed: int) -> None:
    """Also where timestamps go back and forth."""
    committed = min(committed, len(log))
    full, _ = fold(log, 0, len(log))
    plan = plan_of(log, committed, LogBounds(0, len(log), None))
    again, _ = fold(log, plan.replay_from, len(log))

    assert plan.live_from == committed
    assert plan.replay_from <= committed
    for offset in range(committed, len(log)):
        assert again[offset] == full[offset]


@dataclass(frozen=True)
class Trimmed:
    """A log that starts late, and what the group committed before that was noticed."""

    log: list[Record]
    committed: int
    bounds: LogBounds


@st.composite
def trimmed_logs(draw: st.DrawFn) -> Trimmed:
    log = sorted(
        draw(st.lists(records, min_size=1, max_size=40)), key=lambda r: r.timestamp_ms
    )
    start = draw(st.integers(1, len(log)))
    kept = log[start] if start < len(log) else log[-1]
    bounds = LogBounds(start, len(log), kept.timestamp_ms)
    return Trimmed(log, draw(st.integers(0, len(log))), bounds)


@given(trimmed_logs())
def test_after_a_cold_start_every_answer_that_differs_is_flagged(
    case: Trimmed,
) -> None:
    log = case.log
    full, _ = fold(log, 0, len(log))
    plan = plan_of(log, case.committed, case.bounds, cold_start=True)
    again, _ = fold(log, plan.replay_from, len(log))

    assert plan.live_from == max(case.committed, case.bounds.start)
    end_ms = plan.incomplete_until_ms
    for offset in range(plan.live_from, len(log)):
        is_flagged = end_ms is not None and again[offset].event_ms < end_ms
        assert is_flagged or again[offset] == full[offset]


@given(trimmed_logs())
def test_flags_end_where_nothing_that_is_gone_can_matter(case: Trimmed) -> None:
    """No later than the horizon after the youngest event that could be gone."""
    plan = plan_of(case.log, case.committed, case.bounds, cold_start=True)

    if plan.incomplete_until_ms is not None:
        assert case.bounds.removed_until_ms is not None
        youngest = case.bounds.removed_until_ms + AHEAD
        assert plan.incomplete_until_ms <= youngest + HORIZON


@given(logs, st.data())
def test_the_latest_start_is_warm(log: list[Record], data: st.DataObject) -> None:
    """Any event near the end will do as an estimate of the watermark there."""
    end = data.draw(st.integers(1, len(log)))
    tail = data.draw(st.integers(0, end - 1))
    youngest = max(record.event_ms for record in log[tail:end])
    since_ms = REACH.first_needed_ms(youngest)
    bounds = LogBounds(0, end, None)
    start = start_at_latest(bounds, REACH, first_needed=first_at(log, 0, since_ms))
    metadata = CommitMetadata.decode(start.metadata, PLACE)
    assert metadata is not None
    full, _ = fold(log, 0, len(log))
    warm, _ = fold(log, metadata.fold_start, len(log))

    for offset in range(end, len(log)):
        assert warm[offset] == full[offset]
