"""What the demo counts: pairs of records and answers, times, and who was right."""

from __future__ import annotations

import math

import orjson
import pytest

from demo.figures import Latencies, Rate, percentile
from demo.summary import examples, summary
from demo.tally import Answer, Incoming, Place, Tally


def record(*, at_ms: int = 1_000, number: int = 1, amount: float = 10.0) -> Incoming:
    value = {
        "transaction_id": str(number),
        "customer_id": f"c{number}",
        "terminal_id": f"t{number}",
        "amount": amount,
    }
    return Incoming(at_ms, orjson.dumps(value))


def score(
    offset: int,
    *,
    at_ms: float = 1_020,
    number: int = 1,
    flagged: bool = False,
    flags: tuple[str, ...] = (),
    reasons: tuple[str, ...] = (),
) -> Answer:
    value = {
        "transaction_id": str(number),
        "event_time": f"2026-10-03T14:02:{number:02}Z",
        "score": 0.75,
        "flagged": flagged,
        "flags": flags,
        "reasons": [{"feature": "any", "text": text} for text in reasons],
    }
    return Answer(Place(0, offset), at_ms, orjson.dumps(value))


def tally(*frauds: int, live_from_ms: float = 0) -> Tally:
    return Tally(frozenset(map(str, frauds)), live_from_ms=live_from_ms)


def test_an_answer_is_timed_from_its_records_timestamp() -> None:
    counting = tally()
    counting.take_record(Place(0, 7), record(at_ms=1_000))
    counting.take_answer(score(7, at_ms=1_031.2))

    assert counting.latencies.since() == {32: 1}
    assert counting.waiting == 0


def test_an_answer_that_is_read_before_its_record_waits_for_it() -> None:
    counting = tally()
    counting.take_answer(score(7, at_ms=1_031))
    assert counting.counts.scores == 0

    counting.take_record(Place(0, 7), record(at_ms=1_000))

    assert counting.counts.scores == 1
    assert counting.latencies.since() == {31: 1}
    assert counting.waiting == 0


def test_answers_are_paired_by_partition_and_offset() -> None:
    counting = tally()
    counting.take_record(Place(1, 7), record())
    counting.take_answer(score(7))

    assert counting.counts.scores == 0
    assert counting.waiting == 1


def test_a_dead_letter_is_an_answer_with_a_reason() -> None:
    counting = tally()
    for offset in range(3):
        counting.take_record(Place(0, offset), record())
    counting.take_answer(Answer(Place(0, 0), 1_010, None, "tombstone"))
    counting.take_answer(Answer(Place(0, 1), 1_010, b"{", "not_json"))
    counting.take_answer(Answer(Place(0, 2), 1_010, b"}", "not_json"))

    now = counting.snapshot(2.0)

    assert now.counts.dead_letters == now.counts.answers == 3
    assert now.reasons == {"not_json": 2, "tombstone": 1}


def test_history_is_answered_but_counted_apart() -> None:
    counting = tally(1, live_from_ms=5_000)
    counting.take_record(Place(0, 0), record(at_ms=4_999))
    counting.take_record(Place(0, 1), record(at_ms=5_000, number=2))
    counting.take_answer(score(0, flagged=True))
    counting.take_answer(score(1, at_ms=5_010, number=2))

    assert counting.history == 1
    assert counting.records == 2
    assert counting.counts.records == counting.counts.scores == 1
    assert counting.counts.flagged == counting.counts.frauds == 0
    assert counting.latencies.since() == {10: 1}


def test_flagged_payments_are_held_against_the_truth() -> None:
    counting = tally(1, 2, 4)
    for number, flagged in ((1, True), (2, False), (3, True), (4, True), (5, False)):
        counting.take_record(Place(0, number), record(number=number, amount=number))
        counting.take_answer(score(number, number=number, flagged=flagged))

    now = counting.snapshot(2.0)

    assert (now.counts.flagged, now.counts.caught, now.counts.frauds) == (3, 2, 3)
    assert now.counts.precision == now.counts.recall == pytest.approx(2 / 3)
    assert [(f.customer, f.amount, f.is_fraud) for f in now.flagged] == [
        ("c4", 4.0, True),
        ("c3", 3.0, False),
        ("c1", 1.0, True),
    ]
    assert now.event_time == "2026-10-03T14:02:05Z"


def test_a_flagged_payment_keeps_where_it_was_made_and_why_it_was_flagged() -> None:
    counting = tally()
    counting.take_record(Place(0, 0), record())
    counting.take_answer(score(0, flagged=True, reasons=("first: 2", "second: 1")))

    (flagged,) = counting.flagged

    assert flagged.terminal == "t1"
    assert flagged.reasons == ("first: 2", "second: 1")


def test_labels_are_counted_and_wait_for_no_answer() -> None:
    counting = tally(live_from_ms=5_000)
    for at_ms in (4_999, 5_000, 5_001):
        counting.take_label(at_ms)

    assert (counting.history_labels, counting.counts.labels) == (1, 2)
    assert counting.records == counting.waiting == 0


def test_a_payment_that_was_sent_twice_is_judged_once() -> None:
    counting = tally(1)
    for offset, flags in ((0, ()), (1, ("duplicate",))):
        counting.take_record(Place(0, offset), record())
        counting.take_answer(score(offset, flagged=True, flags=flags))

    assert counting.counts.scores == 2
    assert counting.counts.flagged == counting.counts.frauds == 1


def test_without_alerts_and_frauds_nothing_is_claimed() -> None:
    counts = tally().counts

    assert math.isnan(counts.precision)
    assert math.isnan(counts.recall)


def test_a_snapshot_does_not_change_afterwards() -> None:
    counting = tally()
    before = counting.snapshot(1.0)

    counting.take_record(Place(0, 0), record())

    assert before.counts.records == 0


def test_latencies_are_those_of_the_latest_seconds() -> None:
    counting = tally()
    for second in range(30):
        at_ms = 1_000 * second
        counting.take_record(Place(0, second), record(at_ms=at_ms))
        counting.take_answer(score(second, at_ms=at_ms + second))

    now = counting.snapshot(30.0)

    assert (now.p50_ms, now.p99_ms) == (24.0, 29.0)


def test_rates_are_those_of_the_latest_seconds() -> None:
    rate = Rate(seconds=3.0)

    growth = [rate.at(second, 10 * second**2) for second in range(6)]

    #  time   0   1   2   3    4    5
    #  count  0  10  40  90  160  250     from the last mark at least 3 s back
    assert growth == [0, 10, 20, 30, 50, 70]


def test_a_percentile_is_the_least_value_that_enough_do_not_exceed() -> None:
    counts = {10: 50, 20: 49, 30: 1}

    assert percentile(counts, 0.5) == 10
    assert percentile(counts, 0.501) == 20
    assert percentile(counts, 0.99) == 20
    assert percentile(counts, 0.991) == 30
    assert math.isnan(percentile({}, 0.5))


def test_a_clock_that_went_back_makes_no_negative_latency() -> None:
    latencies = Latencies()

    latencies.add(started_ms=1_000, ended_ms=998)

    assert latencies.since() == {0: 1}


def test_the_summary_says_what_came_in_and_what_came_out() -> None:
    counting = tally(1, live_from_ms=500)
    counting.take_record(Place(0, 0), record(at_ms=400, number=9))
    counting.take_record(Place(0, 1), record(at_ms=1_000))
    counting.take_record(Place(0, 2), record(at_ms=1_000))
    counting.take_label(400)
    counting.take_label(1_000)
    counting.take_answer(score(0, number=9))
    reasons = (f"{'long ' * 20}phrase: 3 days", "short: 1")
    counting.take_answer(score(1, at_ms=1_012, flagged=True, reasons=reasons))
    counting.take_answer(Answer(Place(0, 2), 1_030, b"", "empty"))

    who = "customer c1 at terminal t1"
    assert list(summary(counting)) == [
        "history  1 payments and 1 labels",
        "live     2 records: 1 scores and 1 dead letters; 1 labels",
        "latency  p50 12 ms, p99 30 ms, p99.9 30 ms: record's time to answer read",
        "flagged  1, 1 of them frauds: precision 1.00",
        "frauds   1, 1 of them flagged: recall 1.00",
        f"example  2026-10-03 14:02, {who}, 10.00: score 0.750, fraud",
        f"         - {'long ' * 14}long",
        "           long long long long long phrase: 3 days",
        "         - short: 1",
    ]


def test_the_summary_shows_the_latest_payment_of_each_of_three_first_reasons() -> None:
    counting = tally()
    for number, first in enumerate("abbcdd", start=1):
        counting.take_record(Place(0, number), record(number=number))
        reasons = (f"{first}: {number}", "other: 1")
        counting.take_answer(
            score(number, number=number, flagged=True, reasons=reasons)
        )

    shown = [payment.customer for payment in examples(counting.flagged)]

    assert shown == ["c6", "c4", "c3"]


def test_the_summary_of_nothing_claims_nothing() -> None:
    assert list(summary(tally())) == [
        "history  0 payments and 0 labels",
        "live     0 records: 0 scores and 0 dead letters; 0 labels",
    ]
