"""Up to when a partition is known to have been answered, whatever the broker says."""

from __future__ import annotations

from worker.loop.lag import LagClock
from worker.records import TopicPartition

PLACE = TopicPartition("transactions", 3)


def begun(at: float = 1000.0) -> LagClock:
    lag = LagClock()
    lag.begin([PLACE], at)
    return lag


def test_what_was_never_answered_waits_since_the_assignment() -> None:
    """A restart into a backlog must not look like no lag at all."""
    assert begun(1000.0).measured(PLACE, 5, 1010.0) == (1000.0, 1010.0)


def test_the_assignment_itself_was_an_answer_of_the_broker() -> None:
    assert begun(1000.0).measured(PLACE, 0, None) == (1000.0, 1000.0)


def test_while_records_wait_the_newest_answered_one_counts() -> None:
    lag = begun()
    lag.answered(PLACE, 990_000, 1005.0)

    assert lag.measured(PLACE, 5, 1010.0) == (990.0, 1010.0)


def test_a_record_after_a_long_silence_has_not_waited_since_the_one_before() -> None:
    """Three days later another comes: it waits since we saw that there was none."""
    lag = begun()
    lag.answered(PLACE, 1_000_000, 1001.0)
    lag.measured(PLACE, 0, 260_000.0)

    assert lag.measured(PLACE, 1, 260_005.0) == (260_000.0, 260_005.0)


def test_once_the_broker_is_silent_the_last_answer_counts() -> None:
    lag = begun()
    lag.measured(PLACE, 0, 1010.0)

    assert [lag.measured(PLACE, 0, 1010.0) for _ in range(2)] == [(1010.0, 1010.0)] * 2


def test_a_timestamp_ahead_of_the_clock_hides_no_lag() -> None:
    lag = begun()
    lag.answered(PLACE, 9_999_000, 1005.0)

    assert lag.measured(PLACE, 5, 1010.0) == (1005.0, 1010.0)


def test_an_older_record_and_one_without_a_time_change_nothing() -> None:
    lag = begun()
    lag.answered(PLACE, 1_004_000, 1005.0)
    lag.answered(PLACE, 1_003_000, 1006.0)
    lag.answered(PLACE, -1, 1007.0)

    assert lag.measured(PLACE, 5, 1010.0) == (1004.0, 1010.0)


def test_a_partition_that_comes_back_starts_anew() -> None:
    lag = begun()
    lag.answered(PLACE, 1_004_000, 1005.0)
    lag.begin([PLACE], 2000.0)

    assert lag.measured(PLACE, 5, None) == (2000.0, 2000.0)
