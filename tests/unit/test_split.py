"""Time is split as a model would have lived through it: nothing is known too early."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training_builders import START_MS, history_of
from training.split import (
    DAY_MS,
    LabelledHistory,
    SplitPlan,
    Windows,
    day_of_evaluation,
    last_day,
    latest_until_ms,
    moment,
    parse_until_ms,
    period,
    split,
)
from worker.errors import InvalidConfig

#: One day to train on, one to wait, one to evaluate on.
SHORT = SplitPlan(train_days=1, label_delay_ms=DAY_MS, test_days=1, victim_days=1)


def at(day: float) -> int:
    return START_MS + round(day * DAY_MS)


def short_history(*extra: tuple[int, int, bool]) -> LabelledHistory:
    """Customer 1 commits fraud while training, 2 and 3 later; 4 never."""
    rows = [
        (at(0.1), 1, True),
        (at(0.2), 4, False),
        (at(0.9), 3, False),
        (at(1.5), 2, True),
        (at(2.1), 1, True),
        (at(2.2), 3, True),
        (at(2.3), 4, False),
        (at(2.4), 2, True),
        *extra,
    ]
    return history_of(sorted(rows), delay_ms=DAY_MS)


# Windows


def test_the_windows_of_the_handbook() -> None:
    """Published: train 07-25..07-31, wait 08-01..08-07, test 08-08..08-14."""
    windows = Windows.ending(parse_until_ms("2018-07-31"), SplitPlan())

    assert period(windows.first_ms, windows.until_ms) == "2018-07-25..2018-07-31"
    assert period(windows.until_ms, windows.test_first_ms) == "2018-08-01..2018-08-07"
    test = period(windows.test_first_ms, windows.test_until_ms)
    assert test == "2018-08-08..2018-08-14"


def test_windows_are_half_open() -> None:
    edges = short_history(
        (at(0), 4, False), (at(1), 4, False), (at(2), 4, False), (at(3), 4, False)
    )
    windows = Windows.ending(at(1), SHORT)

    found = split(edges, windows)

    train = edges.event_time_ms[found.train]
    test = edges.event_time_ms[found.test_all]
    assert (train[0], train[-1]) == (at(0), at(0.9))
    assert (test[0], test[-1]) == (at(2), at(2.4))


def test_nothing_of_the_gap_is_learnt_from_or_evaluated() -> None:
    history = short_history()
    found = split(history, Windows.ending(at(1), SHORT))

    used = set(range(found.train.start, found.train.stop)) | set(found.test.tolist())
    assert not any(at(1) <= history.event_time_ms[row] < at(2) for row in used), (
        "the gap is left out"
    )


def test_the_latest_training_leaves_room_for_the_last_whole_day() -> None:
    history = short_history((at(9.5), 4, False))

    until_ms = latest_until_ms(history, SplitPlan())

    assert until_ms + SplitPlan().after_training_ms == at(10)


# What is known when


def test_known_victims_are_left_out_of_the_evaluation() -> None:
    """Customer 1's fraud of day 0 is known on day 2; customer 2's of day 1.5 is not."""
    history = short_history()

    found = split(history, Windows.ending(at(1), SHORT))

    assert history.customer[found.test].tolist() == [3, 4, 2]
    assert history.customer[found.test_all].tolist() == [1, 3, 4, 2]


def test_a_victim_is_left_out_from_the_day_on_that_begins_after_its_label() -> None:
    plan = replace(SHORT, test_days=2)
    history = short_history((at(3.1), 2, False), (at(3.2), 3, False))

    found = split(history, Windows.ending(at(1), plan))

    # 2's fraud of day 1.5 is known at 2.5, hence on day 3; 3's of 2.2 only at 3.2.
    late = found.test[history.event_time_ms[found.test] >= at(3)]
    assert history.customer[late].tolist() == [3]


def test_frauds_of_long_ago_make_no_known_victims() -> None:
    """As published, where victims are those of the last seven days of training."""
    history = short_history((at(-3), 4, True), (at(2.5), 6, False))

    short = split(history, Windows.ending(at(1), SHORT))
    long = split(history, Windows.ending(at(1), replace(SHORT, victim_days=5)))

    assert 4 in history.customer[short.test].tolist()
    assert 4 not in history.customer[long.test].tolist()


def test_what_is_evaluated_does_not_depend_on_the_length_of_the_training() -> None:
    history = short_history((at(-3), 4, True))

    short = split(history, Windows.ending(at(1), SHORT))
    long = split(history, Windows.ending(at(1), replace(SHORT, train_days=9)))

    assert long.train.start < short.train.start
    assert long.test.tolist() == short.test.tolist()


def test_a_fraud_confirmed_too_late_is_learnt_as_genuine() -> None:
    history = short_history((at(0.5), 5, True))
    row = history.event_time_ms.tolist().index(at(0.5))
    history.known_ms[row] = at(2) + 1

    found = split(history, Windows.ending(at(1), SHORT))

    assert found.train_fraud.tolist() == [True, False, False, False]
    history.known_ms[row] = at(2)
    on_time = split(history, Windows.ending(at(1), SHORT))
    assert on_time.train_fraud.tolist() == [True, False, True, False]


@given(
    st.lists(
        st.tuples(st.integers(0, 8 * 24), st.integers(0, 5), st.booleans()),
        max_size=60,
    ),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_a_split_is_what_the_slow_rule_says(
    rows: list[tuple[int, int, bool]],
    train_days: int,
    delay: int,
    test_days: int,
    victim_days: int,
) -> None:
    """With a fraud and a genuine payment in both windows, or nothing could be split."""
    hour_ms = DAY_MS // 24
    plan = SplitPlan(train_days, delay * DAY_MS, test_days, victim_days)
    windows = Windows.ending(at(train_days + 1), plan)
    first, test = windows.first_ms, windows.test_first_ms + hour_ms
    both = [(first, 90, True), (first, 91, False), (test, 92, True), (test, 93, False)]
    drawn = [(START_MS + hour * hour_ms, who, fraud) for hour, who, fraud in rows]
    history = history_of(sorted(drawn + both), delay_ms=plan.label_delay_ms)

    found = split(history, windows)

    assert found.test.tolist() == _slow_test_rows(history, windows)


def _slow_test_rows(history: LabelledHistory, windows: Windows) -> list[int]:
    """Ask of every row of the evaluation, one by one, whether its customer is known."""
    kept = []
    for row, time_ms in enumerate(history.event_time_ms.tolist()):
        if not windows.test_first_ms <= time_ms < windows.test_until_ms:
            continue
        day = (time_ms - windows.test_first_ms) // DAY_MS
        morning = windows.test_first_ms + day * DAY_MS
        known = any(
            history.fraud[other]
            and history.customer[other] == history.customer[row]
            and windows.victims_first_ms <= history.event_time_ms[other]
            and history.known_ms[other] <= morning
            for other in range(len(history.event_time_ms))
            if history.event_time_ms[other] < windows.test_until_ms
        )
        if not known:
            kept.append(row)
    return kept


def test_days_of_the_evaluation_are_counted_from_its_beginning() -> None:
    plan = replace(SHORT, test_days=2)
    history = short_history((at(3), 4, False), (at(3.99), 4, False))
    windows = Windows.ending(at(1), plan)

    days = day_of_evaluation(history, windows, split(history, windows).test_all)

    assert days.tolist() == [0, 0, 0, 0, 1, 1]


# What cannot be split


@pytest.mark.parametrize(
    ("until", "problems"),
    [
        (
            at(-5),
            [
                "holds no transaction; the data go from 2018-04-01 02:24:00 to",
                "evaluation 2018-03-28..2018-03-28 holds no transaction",
            ],
        ),
        (at(3), ["2018-04-05..2018-04-05 holds no transaction"]),
        (at(0.95), ["evaluation 2018-04-02 22:48:00..2018-04-03 22:48:00"]),
    ],
)
def test_windows_without_data_are_named(until: int, problems: list[str]) -> None:
    history = short_history()
    if until == at(0.95):
        history.fraud[4:] = False

    with pytest.raises(InvalidConfig) as raised:
        split(history, Windows.ending(until, SHORT))

    assert len(raised.value.problems) == len(problems)
    for problem, expected in zip(raised.value.problems, problems, strict=True):
        assert expected in problem


@pytest.mark.parametrize(
    ("rows", "value", "message"),
    [
        (slice(0, 3), False, "holds no fraud that was known"),
        (slice(0, 3), True, "training window .* holds frauds only"),
        (slice(4, 8), False, "holds no fraud of a customer not known"),
        (slice(4, 8), True, "evaluation .* holds frauds only"),
    ],
)
def test_windows_of_one_class_are_named(rows: slice, value: bool, message: str) -> None:
    history = short_history()
    history.fraud[rows] = value

    with pytest.raises(InvalidConfig, match=message):
        split(history, Windows.ending(at(1), SHORT))


# Dates


def test_a_date_includes_its_day_and_an_instant_does_not() -> None:
    assert parse_until_ms("2018-03-31") == START_MS
    assert parse_until_ms("2018-04-01T00:00:00Z") == START_MS
    assert parse_until_ms("2018-04-01T02:00:00+02:00") == START_MS


@pytest.mark.parametrize("text", ["yesterday", "2018-02-30", "2018-04-01T00:00:00", ""])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_until_ms(text)


def test_times_are_written_for_people() -> None:
    assert moment(START_MS + 1_999) == "2018-04-01 00:00:01"
    assert last_day(START_MS) == "2018-03-31"
    assert period(START_MS, START_MS + 1) == "2018-04-01 00:00:00..2018-04-01 00:00:00"


def test_rows_of_a_history_can_be_taken() -> None:
    part = short_history().take(slice(1, 3))

    assert np.array_equal(part.customer, [4, 3])
    assert len(part.event_time_ms) == len(part.known_ms) == len(part.fraud) == 2
