"""The loop on the broker in memory: what it does when commits do not go through."""

from __future__ import annotations

import pytest

from tests.counting import BROKEN
from tests.workers import DAY_MS, GROUP, INPUT, Bench, new_bench, new_broker
from worker.errors import BrokerFailed, DeadLetterLimitExceeded, Fenced, StateUnusable
from worker.loop import DeadLetterLimit, Phase
from worker.loop.standing_still import StandingStill
from worker.metrics import catalogue
from worker.records import NextOffset, TopicPartition
from worker.recovery import CommitMetadata

PLACE = TopicPartition(INPUT, 0)


def begun(bench: Bench) -> Bench:
    """Let the worker take up its partitions."""
    bench.begin()
    bench.worker.run_once()
    return bench


def test_every_record_is_answered_once_and_its_offset_committed() -> None:
    bench = begun(new_bench())
    bench.write(b"a", b"b")
    bench.worker.run_once()
    bench.write(b"c")
    bench.worker.run_once()

    assert bench.scores() == [b"a#1", b"b#2", b"c#3"]
    assert bench.committed() == 3
    assert bench.metadata() == {"v": 1, "w": DAY_MS, "s": 0, "a": 0}


def test_a_poll_without_records_commits_nothing() -> None:
    bench = begun(new_bench())
    bench.worker.run_once()

    assert bench.producer.attempts == []


def test_an_aborted_result_is_sent_again_and_never_computed_again() -> None:
    bench = begun(new_bench())
    bench.producer.script.extend(["abort", "abort"])
    bench.write(b"a")
    bench.worker.run_once()

    assert bench.scores() == [b"a#1"]
    assert len(bench.pipeline.batches) == 1
    assert len(bench.producer.attempts) == 3
    assert bench.worker.phase is Phase.RUNNING


def test_what_is_polled_while_a_result_is_held_is_answered_afterwards() -> None:
    bench = begun(new_bench())
    bench.producer.script.append("abort")
    bench.write(b"a")
    bench.producer.before_commit = lambda: bench.write(b"late")
    bench.worker.run_once()
    bench.producer.before_commit = lambda: None
    bench.worker.run_once()
    bench.worker.run_once()

    assert bench.scores() == [b"a#1", b"late#2", b"late#3"]
    assert bench.committed() == 3


def test_a_commit_of_unknown_end_that_was_taken_is_not_sent_again() -> None:
    bench = begun(new_bench())
    bench.producer.script.append("take but not say")
    bench.write(b"a")
    bench.worker.run_once()

    assert bench.scores() == [b"a#1"]
    assert len(bench.producer.attempts) == 1


def test_a_commit_of_unknown_end_that_was_not_taken_is_sent_again() -> None:
    bench = begun(new_bench())
    bench.producer.script.append("abort but not say")
    bench.write(b"a")
    bench.worker.run_once()

    assert bench.scores() == [b"a#1"]
    assert len(bench.producer.attempts) == 2


def test_one_partition_further_on_does_not_pass_for_a_commit_of_both() -> None:
    """Another worker may have taken one over and answered what we hold."""
    bench = begun(new_bench(new_broker(2)))
    bench.producer.script.append("abort but not say")
    bench.write(b"a")
    bench.write(b"b", partition=1)
    other = CommitMetadata(DAY_MS, 0, 0).encode()

    def overtake() -> None:
        committed = bench.broker.group(GROUP).committed
        committed[PLACE] = NextOffset(1, other)
        bench.producer.before_commit = lambda: None

    bench.producer.before_commit = overtake
    bench.worker.run_once()

    assert bench.scores(1) == [b"b#1"]
    assert bench.committed(1) == 1


def test_a_held_partition_that_was_lost_comes_again_from_its_commit() -> None:
    bench = begun(new_bench(new_broker(2)))
    bench.producer.script.append("abort")
    bench.write(b"a")
    bench.write(b"b", partition=1)
    bench.producer.before_commit = lambda: _take_away_once(bench)
    bench.worker.run_once()

    # What was held for the lost partition was not sent; the other's was.
    assert bench.producer.attempts[1][1].keys() == {TopicPartition(INPUT, 1)}
    bench.worker.run_once()
    assert bench.scores(0) == [b"a#1"]
    assert bench.scores(1) == [b"b#1"]
    assert (bench.committed(0), bench.committed(1)) == (1, 1)


def _take_away_once(bench: Bench) -> None:
    bench.producer.before_commit = lambda: None
    bench.broker.take_away(bench.consumer, [PLACE])


def test_waiting_records_of_a_lost_partition_are_dropped_with_its_state() -> None:
    """Polled while holding, then lost: they come again, and are folded once."""
    bench = begun(new_bench())
    bench.producer.script.extend(["abort", "abort", "abort"])
    bench.write(b"a")

    def write_then_lose() -> None:
        bench.write(b"b")
        bench.producer.before_commit = lambda: _take_away_once(bench)

    bench.producer.before_commit = write_then_lose
    bench.worker.run_once()
    bench.producer.script.clear()
    bench.worker.run_once()

    assert bench.scores() == [b"a#1", b"b#2"]
    assert bench.committed() == 2


def test_a_hold_that_lasts_pauses_the_partitions_and_resumes_them() -> None:
    bench = begun(new_bench())
    bench.producer.script.extend(["abort"] * 3)
    seen: list[set[TopicPartition]] = []

    def pass_time() -> None:
        seen.append(set(bench.consumer.paused))
        bench.clock.now += 0.8

    bench.producer.before_commit = pass_time
    bench.write(b"a")
    bench.worker.run_once()

    assert seen == [set(), set(), {PLACE}, {PLACE}]
    assert bench.consumer.paused == set()


def test_a_long_backlog_pauses_the_partitions_at_once() -> None:
    bench = begun(new_bench(max_batch=2))
    bench.producer.script.extend(["abort"] * 3)
    bench.write(*[b"a"] * 10)
    bench.worker.run_once()

    assert bench.scores() == [b"a#1", b"a#2"]
    # Two polls before the backlog is longer than a batch, none after that.
    assert len(bench.worker._inputs) == 4
    for _ in range(4):
        bench.worker.run_once()
    assert bench.scores() == [b"a#%d" % n for n in range(1, 11)]


def test_holding_ends_by_time_and_not_by_count() -> None:
    bench = begun(new_bench())
    bench.producer.script.extend(["abort"] * 500)
    bench.write(b"a")

    def pass_time() -> None:
        bench.clock.now += 0.25

    bench.producer.before_commit = pass_time
    with pytest.raises(BrokerFailed, match="could not be committed for 90 s"):
        bench.worker.run_once()

    assert len(bench.producer.attempts) == 361


def test_waits_between_attempts_grow_to_a_fifth_of_a_second() -> None:
    bench = begun(new_bench())
    bench.producer.script.extend(["abort"] * 8)
    bench.consumer.polls.clear()
    bench.write(b"a")
    bench.worker.run_once()

    waits = bench.consumer.polls[1:]
    assert waits == [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.2, 0.2]


def test_a_fenced_worker_ends_and_leaves_everything_closed() -> None:
    bench = new_bench()
    bench.write(b"a")
    bench.producer.script.append("fence")

    with pytest.raises(Fenced):
        bench.worker.run()

    assert bench.scores() == []
    assert bench.producer.is_closed
    assert bench.worker.phase is Phase.STOPPED


def test_a_wish_to_stop_ends_the_loop_and_gives_the_partitions_back() -> None:
    bench = new_bench()
    bench.write(b"a")
    bench.producer.before_commit = bench.stop.request
    bench.worker.run()

    assert bench.scores() == [b"a#1"]
    assert bench.worker.phase is Phase.STOPPED
    assert bench.broker.group(GROUP).members == {}
    assert bench.producer.is_closed


def test_a_result_that_cannot_be_committed_is_left_to_the_successor() -> None:
    bench = new_bench()
    bench.write(b"a")
    bench.producer.script.extend(["abort"] * 100)

    def stop_and_pass_time() -> None:
        bench.stop.request()
        bench.clock.now += 0.5

    bench.producer.before_commit = stop_and_pass_time
    bench.worker.run()

    assert bench.committed() == 0
    assert len(bench.producer.attempts) == 5
    successor = begun(new_bench(bench.broker))
    successor.worker.run_once()
    assert successor.scores() == [b"a#1"]


def test_what_was_answered_before_is_folded_in_silence() -> None:
    bench = begun(new_bench())
    bench.write(b"a", b"b")
    bench.worker.run_once()
    bench.consumer.close()
    bench.write(b"c")
    successor = begun(new_bench(bench.broker))
    successor.worker.run_once()

    assert successor.scores() == [b"a#1", b"b#2", b"c#3"]
    assert successor.metrics.store.value(catalogue.EVENTS_REPLAYED) == 2


def test_a_partition_is_live_although_markers_end_its_log() -> None:
    """Committed was an end offset: the record before it will never come."""
    bench = new_bench()
    bench.write(b"a")
    bench.broker.skip(PLACE, 3)
    start = NextOffset(4, CommitMetadata(None, 0, 0).encode())
    bench.broker.group(GROUP).committed[PLACE] = start
    begun(bench)
    bench.worker.run_once()

    assert not bench.worker._assignment.restoring
    assert bench.scores() == []
    bench.write(b"b")
    bench.worker.run_once()
    assert bench.scores() == [b"b#2"]


def test_a_partition_without_a_commit_ends_the_worker() -> None:
    broker = new_broker(2)
    del broker.group(GROUP).committed[PLACE]

    with pytest.raises(StateUnusable, match="transactions/0"):
        begun(new_bench(broker))


def test_idle_partitions_are_committed_again_now_and_then() -> None:
    bench = begun(new_bench(new_broker(2)))
    bench.write(b"a")
    bench.worker.run_once()
    bench.clock.now += 3500
    bench.write(b"b")
    bench.worker.run_once()
    bench.producer.attempts.clear()
    bench.clock.now += 200
    bench.worker.run_once()

    ((outputs, offsets),) = bench.producer.attempts
    assert outputs == []
    start = CommitMetadata(None, 0, 0).encode()
    assert offsets == {TopicPartition(INPUT, 1): NextOffset(0, start)}
    bench.worker.run_once()
    assert len(bench.producer.attempts) == 1


def test_a_partition_of_rejected_records_stands_still_and_others_go_on() -> None:
    bench = begun(new_bench(new_broker(2), limit=DeadLetterLimit(1.0, 3)))
    bench.write(BROKEN, BROKEN, BROKEN)
    bench.worker.run_once()
    bench.write(b"a")
    bench.write(b"b", partition=1)
    bench.worker.run_once()

    assert len(bench.scores(topic="dead-letters")) == 3
    assert bench.scores(0) == []
    assert bench.scores(1) == [b"b#1"]
    assert bench.committed(0) == 3


def test_a_partition_that_stands_still_is_not_resumed_by_a_hold() -> None:
    bench = begun(new_bench(new_broker(2), limit=DeadLetterLimit(1.0, 1)))
    bench.write(BROKEN)
    bench.worker.run_once()
    bench.producer.script.extend(["abort"] * 3)
    bench.write(b"b", partition=1)

    def pass_time() -> None:
        bench.clock.now += 0.8

    bench.producer.before_commit = pass_time
    bench.worker.run_once()

    assert bench.consumer.paused == {PLACE}


def test_the_worker_ends_when_all_of_its_partitions_stand_still() -> None:
    bench = begun(new_bench(limit=DeadLetterLimit(1.0, 1)))
    bench.write(BROKEN)

    with pytest.raises(DeadLetterLimitExceeded, match="transactions/0"):
        bench.worker.run_once()

    assert bench.committed() == 1


def test_a_topic_that_stands_still_ends_the_worker_also_beside_others() -> None:
    inputs = [TopicPartition("transactions", n) for n in (0, 1)]
    between = [TopicPartition("between", n) for n in (0, 1)]
    bench = new_bench(new_broker(2))
    still = StandingStill(bench.consumer, DeadLetterLimit(1.0, 1))
    still.places.add(inputs[0])

    still.end_if_all([*inputs, *between])
    still.places.add(inputs[1])

    with pytest.raises(DeadLetterLimitExceeded, match="transactions/0, transactions/1"):
        still.end_if_all([*inputs, *between])


def test_two_workers_answer_what_a_rebalance_moves_exactly_once() -> None:
    broker = new_broker(4)
    first = begun(new_bench(broker))
    second = new_bench(broker, name="1")
    for partition in range(4):
        first.write(b"a", partition=partition)
    first.worker.run_once()
    second.begin()
    for partition in range(4):
        first.write(b"b", partition=partition)
    for _ in range(3):
        first.worker.run_once()
        second.worker.run_once()

    assert [first.scores(p) for p in range(4)] == [[b"a#1", b"b#2"]] * 4
    assert len(second.worker._assignment.partitions) == 2


def test_a_partition_that_moves_while_its_result_is_held_is_answered_once() -> None:
    broker = new_broker(2)
    first = begun(new_bench(broker))
    second = new_bench(broker, name="1")
    first.producer.script.append("abort")
    first.write(b"a")
    first.write(b"b", partition=1)

    def rebalance() -> None:
        first.producer.before_commit = lambda: None
        second.begin()

    first.producer.before_commit = rebalance
    first.worker.run_once()
    for _ in range(2):
        first.worker.run_once()
        second.worker.run_once()

    assert [first.scores(0), first.scores(1)] == [[b"a#1"], [b"b#1"]]


def test_metrics_count_what_was_committed_and_what_was_not() -> None:
    bench = begun(new_bench())
    bench.producer.script.extend(["abort", "abort but not say"])
    bench.write(b"a", BROKEN)
    bench.worker.run_once()
    value = bench.metrics.store.value

    assert value(catalogue.EVENTS_CONSUMED, INPUT) == 2
    assert value(catalogue.EVENTS_SCORED, "1", "passed") == 1
    assert value(catalogue.DLQ_EVENTS, "not_json") == 1
    assert value(catalogue.COMMITS) == 1
    assert value(catalogue.COMMIT_ABORTS, "aborted") == 1
    assert value(catalogue.COMMIT_ABORTS, "unknown") == 1


def test_lag_and_state_are_measured_every_second() -> None:
    bench = begun(new_bench(max_batch=1))
    bench.write(b"a", b"b", b"c", at_ms=DAY_MS)
    bench.clock.now += 1.0
    bench.worker.run_once()
    value = bench.metrics.store.value

    assert value(catalogue.KAFKA_CONSUMER_LAG, INPUT, "0") == 2
    assert value(catalogue.KAFKA_LAG, INPUT, "0") > 0
    assert value(catalogue.RESTORE_REMAINING, INPUT, "0") == 0
    assert value(catalogue.STATE_EVENTS, INPUT, "0") == 1


def test_a_broker_that_says_nothing_more_does_not_hold_the_lag_at_0() -> None:
    """Nothing waits, by the last that was heard; then an hour passes in silence."""
    bench = begun(new_bench())
    bench.write(b"a")
    bench.clock.now += 1.0
    bench.worker.run_once()
    before = lag_told(bench)
    bench.consumer.cut_off()
    bench.clock.now += 1.0
    bench.worker.run_once()
    measured = bench.metrics.store.value(catalogue.KAFKA_MEASURED, INPUT, "0")
    bench.metrics.store._now = lambda: measured + 3600.0

    assert before == 0
    assert lag_told(bench) == pytest.approx(3600.0)


def lag_told(bench: Bench) -> float:
    return bench.metrics.store.value(catalogue.KAFKA_LAG, INPUT, "0")


def test_a_broker_that_fails_while_stopping_is_not_the_worker_s_failure() -> None:
    bench = new_bench()
    bench.write(b"a")

    def stop_and_fail() -> None:
        bench.stop.request()
        raise BrokerFailed("no broker")

    bench.producer.before_commit = stop_and_fail
    bench.worker.run()

    assert bench.worker.phase is Phase.STOPPED
    assert bench.committed() == 0


def test_a_broker_that_fails_otherwise_ends_the_worker() -> None:
    bench = new_bench()
    bench.write(b"a")

    def fail() -> None:
        raise BrokerFailed("no broker")

    bench.producer.before_commit = fail
    with pytest.raises(BrokerFailed):
        bench.worker.run()
