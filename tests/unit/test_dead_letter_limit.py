"""When a partition had better stand still."""

from __future__ import annotations

import numpy as np

from worker.loop.dead_letters import WINDOW_RECORDS, DeadLetterCounts
from worker.loop.limits import DeadLetterLimit
from worker.pipeline import BatchResult, PartitionResult, Rejected
from worker.records import Reason, TopicPartition

PLACE = TopicPartition("t", 0)


def result(pattern: str) -> BatchResult:
    """A result for records of which each x was rejected."""
    rejected = [
        Rejected(position, position, Reason.NOT_JSON, None)
        for position, kind in enumerate(pattern)
        if kind == "x"
    ]
    stamps = np.zeros(len(pattern), np.int64)
    part = PartitionResult(
        epoch=1,
        next_offset=None,
        outputs=[],
        replayed=0,
        rejected=rejected,
        flagged=0,
        late=0,
        duplicate=0,
        incomplete=0,
        timestamps_ms=stamps,
        scored_timestamps_ms=stamps[len(rejected) :],
    )
    return BatchResult({PLACE: part}, {})


def exceeded(limit: DeadLetterLimit, *patterns: str) -> list[bool]:
    counts = DeadLetterCounts(limit)
    return [bool(counts.exceeded(result(pattern))) for pattern in patterns]


def test_rejections_in_a_row_are_counted_within_a_batch() -> None:
    limit = DeadLetterLimit(1.0, 3)

    assert exceeded(limit, "xx.xx.xx") == [False]
    assert exceeded(limit, "xx.xxx.") == [True]


def test_a_row_goes_on_from_one_batch_to_the_next() -> None:
    limit = DeadLetterLimit(1.0, 3)

    assert exceeded(limit, ".x", "x", "x") == [False, False, True]
    assert exceeded(limit, "xx", ".x", "x") == [False, False, False]
    assert exceeded(limit, "xx.", "x", "x") == [False, False, False]


def test_a_batch_without_rejections_ends_a_row() -> None:
    assert exceeded(DeadLetterLimit(1.0, 3), "xx", "..", "xx") == [False] * 3


def test_a_batch_that_only_replays_says_nothing() -> None:
    assert exceeded(DeadLetterLimit(1.0, 3), "xx", "", "x") == [False, False, True]


def test_the_share_counts_only_over_enough_records() -> None:
    limit = DeadLetterLimit(0.5, 0)
    tenth = "xx." * (WINDOW_RECORDS // 30)

    assert exceeded(limit, *[tenth] * 11) == [False] * 10 + [True]


def test_the_share_may_be_reached_but_not_exceeded() -> None:
    assert exceeded(DeadLetterLimit(0.5, 0), "x." * WINDOW_RECORDS) == [False]
    assert exceeded(DeadLetterLimit(0.5, 0), "x." * WINDOW_RECORDS + "x") == [True]


def test_old_records_leave_the_share() -> None:
    limit = DeadLetterLimit(0.5, 0)
    good, bad = "." * WINDOW_RECORDS, "x" * (WINDOW_RECORDS - 1)

    assert exceeded(limit, good, good, bad, "x") == [False, False, False, True]


def test_limits_can_be_switched_off() -> None:
    assert exceeded(DeadLetterLimit(1.0, 0), "x" * 10 * WINDOW_RECORDS) == [False]


def test_a_partition_that_comes_back_starts_anew() -> None:
    counts = DeadLetterCounts(DeadLetterLimit(1.0, 2))
    counts.exceeded(result("x"))
    counts.forget([PLACE])

    assert counts.exceeded(result("x")) == []
