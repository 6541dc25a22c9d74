"""Where the fold of a partition starts, case by case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import StateUnusable
from worker.records import LogBounds, NextOffset, TopicPartition
from worker.recovery import (
    CommitMetadata,
    Reach,
    StartPlan,
    check_first_commits,
    needed_since_ms,
    plan_start,
    start_at_earliest,
    start_at_latest,
)

PLACE = TopicPartition("transactions", 3)
REACH = Reach(horizon_ms=100, retention_ms=130, max_ahead_ms=5)


def commit(
    offset: int,
    watermark_ms: int | None = 1000,
    fold_start: int = 0,
    answered_from: int = 0,
    incomplete_until_ms: int | None = None,
) -> NextOffset:
    metadata = CommitMetadata(
        watermark_ms, fold_start, answered_from, incomplete_until_ms
    )
    return NextOffset(offset, metadata.encode())


def plan(
    committed: NextOffset | None,
    bounds: LogBounds,
    first_needed: int | None = None,
    *,
    cold_start: bool = False,
) -> StartPlan:
    return plan_start(
        PLACE,
        committed,
        bounds,
        first_needed=first_needed,
        reach=REACH,
        cold_start=cold_start,
    )


def whole(end: int) -> LogBounds:
    return LogBounds(0, end, None)


offsets = st.integers(0, 2**62)
times = st.none() | st.integers(-(2**62), 2**62)


@given(st.builds(CommitMetadata, times, offsets, offsets, times))
def test_what_a_commit_remembers_is_read_back(metadata: CommitMetadata) -> None:
    assert CommitMetadata.decode(metadata.encode(), PLACE) == metadata


def test_keys_of_later_versions_are_ignored() -> None:
    text = '{"v":1,"w":5,"s":2,"a":3,"head":99}'

    assert CommitMetadata.decode(text, PLACE) == CommitMetadata(5, 2, 3)


@pytest.mark.parametrize(
    "text",
    [
        "w5",
        "{}",
        "[]",
        '{"v":2,"w":5,"s":2,"a":3}',
        '{"v":1,"w":"5","s":2,"a":3}',
        '{"v":1,"w":5.0,"s":2,"a":3}',
        '{"v":1,"w":true,"s":2,"a":3}',
        '{"v":1,"w":5,"s":-1,"a":3}',
        '{"v":1,"w":5,"s":null,"a":3}',
        '{"v":1,"w":5,"s":2}',
        '{"v":1,"w":5,"s":2,"a":3,"i":"soon"}',
    ],
)
def test_metadata_that_is_not_ours_is_refused_by_name(text: str) -> None:
    with pytest.raises(StateUnusable, match="transactions/3"):
        CommitMetadata.decode(text, PLACE)


def test_only_what_the_watermark_still_needs_is_replayed() -> None:
    assert plan(commit(50), whole(60), 20) == StartPlan(20, 50, 0, 0, None)
    assert needed_since_ms(commit(50), PLACE, REACH) == 1000 - 130 - 5


def test_replay_never_begins_before_the_fold_did() -> None:
    committed = commit(50, fold_start=30, answered_from=40)

    assert plan(committed, whole(60), 20) == StartPlan(30, 50, 30, 40, None)


def test_replay_never_begins_behind_the_first_record_to_be_answered() -> None:
    """All that came later is younger: then nothing has to be folded."""
    assert plan(commit(50), whole(60), 55).replay_from == 50


def test_before_the_first_event_the_whole_fold_is_replayed() -> None:
    committed = commit(50, watermark_ms=None, fold_start=10, answered_from=50)

    assert needed_since_ms(committed, PLACE, REACH) == 0
    assert plan(committed, whole(60), 0) == StartPlan(10, 50, 10, 50, None)


def test_a_log_that_tells_no_times_is_replayed_from_the_start_of_the_fold() -> None:
    assert plan(commit(50, fold_start=7), whole(60), None).replay_from == 7


def test_flags_of_an_earlier_cold_start_stay() -> None:
    committed = commit(50, incomplete_until_ms=1234)

    assert plan(committed, whole(60), 20).incomplete_until_ms == 1234


def test_a_partition_that_was_never_committed_is_refused() -> None:
    with pytest.raises(StateUnusable, match=r"nothing for transactions/3.*FRAUD_START"):
        plan(None, whole(60))


def test_a_log_that_is_shorter_than_the_commit_is_refused() -> None:
    with pytest.raises(StateUnusable, match="the log ends at 40"):
        plan(commit(50), whole(40), cold_start=True)


def test_records_that_are_gone_but_not_needed_do_not_matter() -> None:
    trimmed = LogBounds(15, 60, removed_until_ms=700)

    assert plan(commit(50), trimmed, 20) == StartPlan(20, 50, 0, 0, None)


@pytest.mark.parametrize("first_needed", [15, None])
def test_records_that_are_gone_and_needed_end_it(first_needed: int | None) -> None:
    trimmed = LogBounds(15, 60, removed_until_ms=900)

    with pytest.raises(StateUnusable, match=r"before 15.*FRAUD_COLD_START"):
        plan(commit(50), trimmed, first_needed)


def test_the_first_record_tells_that_nothing_needed_is_gone() -> None:
    """Also where the broker cannot say at which offset a time begins."""
    bounds = LogBounds(400, 900, REACH.first_needed_ms(10**9) - 1)

    decided = plan(commit(900, watermark_ms=10**9), bounds, None)

    assert decided.replay_from == 400
    assert decided.incomplete_until_ms is None


def test_a_cold_start_flags_what_may_miss_something() -> None:
    """No removed event is beyond the watermark, nor more than 5 ms ahead of 900."""
    trimmed = LogBounds(15, 60, removed_until_ms=900)
    found = plan(commit(50), trimmed, 15, cold_start=True)

    assert found == StartPlan(15, 50, 15, 50, 900 + 5 + 100)
    late = LogBounds(15, 60, removed_until_ms=5000)
    assert plan(commit(50), late, 15, cold_start=True).incomplete_until_ms == 1100


def test_a_cold_start_without_need_changes_nothing() -> None:
    assert plan(commit(50), whole(60), 20, cold_start=True) == plan(
        commit(50), whole(60), 20
    )


def test_records_removed_before_they_were_scored_end_it() -> None:
    trimmed = LogBounds(55, 60, removed_until_ms=2000)

    with pytest.raises(StateUnusable, match="records 50 to 54 have been removed"):
        plan(commit(50), trimmed, 55)
    found = plan(commit(50), trimmed, 55, cold_start=True)
    assert found == StartPlan(55, 55, 55, 55, 2000 + 5 + 100)


def test_a_commit_of_another_tool_folds_all_that_is_kept() -> None:
    """An operator has moved the group's offsets."""
    assert plan(NextOffset(50, ""), whole(60), 0) == StartPlan(0, 50, 0, 50, None)
    trimmed = LogBounds(15, 60, removed_until_ms=900)
    assert plan(NextOffset(50, ""), trimmed, 15) == StartPlan(15, 50, 15, 50, 1005)


def test_the_earliest_start_answers_all_that_is_kept() -> None:
    assert start_at_earliest(whole(60), REACH) == commit(0, None)
    trimmed = LogBounds(15, 60, removed_until_ms=900)
    assert start_at_earliest(trimmed, REACH) == commit(15, None, 15, 15, 1005)


def test_the_latest_start_folds_the_horizon_before_the_end() -> None:
    assert start_at_latest(whole(60), REACH, first_needed=40) == commit(
        60, None, 40, 60
    )
    assert start_at_latest(whole(60), REACH, first_needed=None) == commit(
        60, None, 0, 60
    )


def test_the_latest_start_flags_scores_whose_horizon_is_not_all_kept() -> None:
    trimmed = LogBounds(15, 60, removed_until_ms=900)

    assert start_at_latest(trimmed, REACH, first_needed=15) == commit(
        60, None, 15, 60, 1005
    )
    assert start_at_latest(trimmed, REACH, first_needed=16) == commit(60, None, 16, 60)


def test_a_group_has_started_on_all_partitions_or_on_none() -> None:
    other = TopicPartition("transactions", 4)

    assert check_first_commits({PLACE: commit(1), other: commit(2)})
    assert not check_first_commits({PLACE: None, other: None})
    with pytest.raises(StateUnusable, match="nothing for transactions/4"):
        check_first_commits({PLACE: commit(1), other: None})
