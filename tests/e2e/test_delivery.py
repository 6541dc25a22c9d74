"""Nothing lost, nothing twice: real workers, killed, moved, fenced and stopped."""

from __future__ import annotations

import signal
import time
from collections import Counter

from tests.live import (
    START_SECONDS,
    MakeStream,
    Stream,
    Traffic,
    kill_in_open_commit,
)
from tests.waiting import wait_until
from worker.errors import ExitCode


def assert_answered_once(stream: Stream, traffic: Traffic) -> None:
    """Every record has one answer, in order; and the audit finds it right."""
    said = stream.verify()
    assert "missing 0, duplicated 0, out of order 0, different 0" in said
    assert stream.answers() == Counter(stream.inputs())
    assert sum(stream.answers().values()) == traffic.count


def test_a_worker_that_is_killed_in_open_commits_answers_everything_once(
    make_stream: MakeStream,
) -> None:
    stream = make_stream()
    traffic = Traffic(stream)
    with traffic.flowing(1000):
        for round_number in range(5):
            worker = stream.start()
            worker.await_event("partition_live", stream.partitions * (round_number + 1))
            stream.await_answers(traffic.count + 500)
            kill_in_open_commit(stream, worker)
        worker = stream.start()
        worker.await_event("partition_live", stream.partitions * 6)

    assert_answered_once(stream, traffic)
    assert worker.end() == ExitCode.OK


def test_sigterm_under_load_ends_with_0_in_time(make_stream: MakeStream) -> None:
    stream = make_stream()
    traffic = Traffic(stream)
    with traffic.flowing(2000):
        worker = stream.start()
        stream.await_answers(2000)
        asked = time.monotonic()
        code = worker.end()
        took = time.monotonic() - asked
        assert not stream.has_open_commit()
        stream.start()
        stream.await_answers(traffic.count + 500)

    assert code == ExitCode.OK
    assert took < 5
    assert_answered_once(stream, traffic)


def test_topics_that_take_little_at_once_are_written_to_in_small_batches(
    make_stream: MakeStream,
) -> None:
    """A topic refuses a whole batch above its limit, however small its records."""
    stream = make_stream(partitions=1)
    limit = {"max.message.bytes": "10000"}
    small = f"{stream.group}-small"
    stream.kafka.create_topics({small: 1}, config=limit)
    stream.settings["FRAUD_SCORES_TOPIC"] = small
    Traffic(stream).write(10_000)

    worker = stream.start()
    stream.await_answers(10_000)

    assert "missing 0, duplicated 0, out of order 0, different 0" in stream.verify()
    assert worker.events("commit_failed") == []
    assert worker.end() == ExitCode.OK


def test_two_workers_share_the_load_and_one_may_leave(make_stream: MakeStream) -> None:
    stream = make_stream(FRAUD_STATIC="false")
    traffic = Traffic(stream)
    with traffic.flowing(1000):
        first = stream.start("0")
        stream.await_answers(500)
        second = stream.start("1")
        second.await_event("partition_live", 2)
        stream.await_answers(traffic.count + 500)
        assert len(first.events("partitions_revoked")) == 1
        assert second.end() == ExitCode.OK
        first.await_event("partition_live", stream.partitions + 2)
        stream.await_answers(traffic.count + 500)

    assert_answered_once(stream, traffic)
    assert first.end() == ExitCode.OK


def test_a_second_worker_of_the_same_name_fences_the_first(
    make_stream: MakeStream,
) -> None:
    stream = make_stream()
    traffic = Traffic(stream)
    with traffic.flowing(1000):
        first = stream.start()
        stream.await_answers(500)
        second = stream.start()
        first.await_event("fenced")
        # It waits, so that a supervisor does not let the two fence each other in turn.
        assert first.process.poll() is None
        code = first.end()
        stream.await_answers(traffic.count + 500)

    assert code == ExitCode.FENCED
    (said,) = [line for line in first.events("stopped") if "exit_code" in line]
    assert "instance" in said["because"]
    assert_answered_once(stream, traffic)
    assert second.end() == ExitCode.OK


def test_at_least_once_loses_nothing_when_it_is_killed(make_stream: MakeStream) -> None:
    stream = make_stream(FRAUD_GUARANTEE="at-least-once")
    traffic = Traffic(stream)
    with traffic.flowing(1000):
        worker = stream.start()
        stream.await_answers(1000)
        worker.kill()
        worker = stream.start()
        stream.await_answers(traffic.count + 500)

    said = stream.verify("--allow-duplicates")
    assert "missing 0" in said
    assert "different 0" in said
    assert stream.answers().keys() == stream.inputs()
    assert worker.end() == ExitCode.OK


def test_a_group_that_never_started_asks_where_to_begin(
    make_stream: MakeStream,
) -> None:
    stream = make_stream(FRAUD_START="committed")
    worker = stream.start()

    assert worker.wait() == ExitCode.CONFIG
    (said,) = worker.events("stopped")
    assert "FRAUD_START=earliest" in said["because"]


def test_the_latest_start_is_warm_and_answers_only_what_comes(
    make_stream: MakeStream,
) -> None:
    """The audit folds the history too: colder features would be different ones."""
    stream = make_stream(FRAUD_START="latest")
    traffic = Traffic(stream)
    traffic.write(2000)
    history = stream.inputs()
    worker = stream.start()
    worker.await_event("partition_live", stream.partitions)
    traffic.write(1000)
    stream.await_answers(3000)

    assert stream.answers() == Counter(stream.inputs() - history)
    said = stream.verify()
    assert "missing 0, duplicated 0, out of order 0, different 0" in said
    assert worker.end() == ExitCode.OK


def test_two_workers_that_start_a_group_at_once_agree(make_stream: MakeStream) -> None:
    stream = make_stream()
    traffic = Traffic(stream)
    traffic.write(2000)
    workers = [stream.start(str(i)) for i in range(3)]
    stream.await_answers(2000)
    wait_until(
        lambda: all(worker.events("partition_live") for worker in workers),
        what="three workers with partitions",
        seconds=START_SECONDS,
    )
    traffic.write(2000)
    stream.await_answers(4000)

    assert_answered_once(stream, traffic)
    assert [worker.end(signal.SIGINT) for worker in workers] == [ExitCode.OK] * 3


def test_topics_whose_partitions_do_not_match_are_refused(
    make_stream: MakeStream,
) -> None:
    stream = make_stream()
    stream.kafka.create_topics({f"{stream.group}-narrow": 2})
    worker = stream.start(FRAUD_SCORES_TOPIC=f"{stream.group}-narrow")

    assert worker.wait() == ExitCode.STATE
    (said,) = worker.events("stopped")
    assert "has 2 partitions" in said["because"]
