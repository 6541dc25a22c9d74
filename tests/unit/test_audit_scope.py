"""What is audited follows from the commits and from what the log still holds."""

from __future__ import annotations

import pytest

from worker.audit.fold import FoldStart
from worker.audit.scope import Scope, scope_of
from worker.errors import StateUnusable
from worker.records import LogBounds, NextOffset, TopicPartition
from worker.recovery import CommitMetadata, Reach

PLACE = TopicPartition("transactions", 3)
REACH = Reach(horizon_ms=1_000, retention_ms=1_100, max_ahead_ms=10)


def commit(
    offset: int,
    fold_start: int = 0,
    answered_from: int = 0,
    incomplete_until_ms: int | None = None,
) -> NextOffset:
    metadata = CommitMetadata(None, fold_start, answered_from, incomplete_until_ms)
    return NextOffset(offset, metadata.encode())


def scope(committed: NextOffset | None, bounds: LogBounds) -> Scope:
    return scope_of(PLACE, bounds, committed, REACH)


def test_everything_is_audited_that_was_committed() -> None:
    """log [0 ........ 100)   committed 100"""
    found = scope(commit(100), LogBounds(0, 100, None))

    assert found == Scope(PLACE, 0, 0, 100, 100, FoldStart(), [])


def test_what_was_not_committed_in_time_is_pending() -> None:
    found = scope(commit(70), LogBounds(0, 100, None))

    assert (found.limit, found.end) == (70, 100)


def test_what_came_after_the_audit_began_is_left_alone() -> None:
    found = scope(commit(100), LogBounds(0, 100, None))
    later = scope_of(PLACE, LogBounds(0, 90, None), commit(90), REACH)

    assert (found.limit, later.limit, later.end) == (100, 90, 90)


def test_the_fold_begins_before_the_first_answer() -> None:
    """log [0 .. fold 20 .. answers 50 ........ 100)"""
    found = scope(commit(100, fold_start=20, answered_from=50), LogBounds(0, 100, None))

    assert (found.fold_from, found.first) == (20, 50)


def test_the_flags_of_an_incomplete_state_are_expected() -> None:
    found = scope(commit(100, incomplete_until_ms=777), LogBounds(0, 100, None))

    assert found.start == FoldStart(incomplete_until_ms=777)


def test_a_log_that_lost_its_start_is_compared_from_a_horizon_later() -> None:
    found = scope(commit(100), LogBounds(40, 100, removed_until_ms=5_000))

    assert (found.fold_from, found.first, found.limit) == (40, 40, 100)
    assert found.start.comparable_from_ms == 5_000 + 10 + 1_000
    assert "no longer holds offsets 0 to 39" in found.notices[0]


def test_a_log_that_lost_only_what_the_fold_never_had_is_compared_at_once() -> None:
    found = scope(commit(100, fold_start=40), LogBounds(40, 100, 5_000))

    assert found.start == FoldStart()
    assert found.notices == []


def test_a_group_that_never_committed_has_everything_pending() -> None:
    found = scope(None, LogBounds(5, 100, 1_000))

    assert (found.first, found.limit, found.end) == (5, 5, 100)
    assert found.notices == ["transactions/3: the group never committed"]


def test_a_commit_of_another_program_is_audited_from_the_start_of_the_log() -> None:
    found = scope(NextOffset(100, ""), LogBounds(40, 100, 5_000))

    assert (found.fold_from, found.first, found.limit) == (40, 40, 100)
    assert found.start.incomplete_until_ms == 5_000 + 10 + 1_000
    assert "another program" in found.notices[0]


def test_a_commit_beyond_the_log_is_not_of_this_log() -> None:
    with pytest.raises(StateUnusable, match="made anew"):
        scope(commit(101), LogBounds(0, 100, None))


def test_nothing_committed_since_records_were_lost_leaves_nothing_to_audit() -> None:
    found = scope(commit(10, fold_start=0), LogBounds(40, 100, 5_000))

    assert (found.fold_from, found.limit, found.end) == (40, 40, 100)
