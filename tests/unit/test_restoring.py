"""A partition is filled from its snapshot between polls; the others go on meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.restarts import ALL, Succession
from tests.small_models import small_model
from tests.waiting import wait_until
from tests.workers import INPUT
from worker.errors import StateUnusable
from worker.loop import Phase
from worker.metrics import catalogue
from worker.records import TopicPartition
from worker.scoring import LoadedModel
from worker.snapshots import Read, ReadEnd, ReadItem, read_in_thread

FIRST, SECOND = TopicPartition(INPUT, 0), TopicPartition(INPUT, 1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return small_model(tmp_path_factory.mktemp("models"))


@pytest.fixture
def succession(model: LoadedModel, tmp_path: Path) -> Iterator[Succession]:
    """Two partitions with nine answered payments each, and a snapshot of the first."""
    made = Succession(model, tmp_path)
    made.write(9)
    running = made.start()
    running.run()
    running.take_snapshots()
    made.write(9, partition=1)
    running.run()
    running.consumer.close()
    yield made
    made.close()


def agrees(succession: Succession) -> bool:
    """Whether every answer is that of a worker that nothing happened to."""
    alone = succession.without_interruption()
    return all(
        succession.answers(partition) == alone.answers(partition)
        and len(alone.answers(partition)) == succession.written_to[partition]
        for partition in range(succession.partitions)
    )


def test_the_others_are_answered_while_one_is_filled(succession: Succession) -> None:
    running = succession.start()
    for _ in range(3):
        succession.write()
        succession.write(partition=1)
        running.reads.allowed = 1
        running.run()

    assert running.loading == {FIRST}
    assert len(succession.answers(0)) == 9
    assert len(succession.answers(1)) == 12
    running.finish()
    assert running.loading == set()
    assert agrees(succession)


def test_a_hold_does_not_read_what_is_still_being_filled(
    succession: Succession,
) -> None:
    running = succession.start()
    running.producer.script.extend(["abort"] * 3)

    def pass_time() -> None:
        running.clock.now += 0.8

    running.producer.before_commit = pass_time
    succession.write()
    succession.write(partition=1)
    running.run(2)

    assert running.loading == {FIRST}
    assert len(succession.answers(0)) == 9
    running.finish()
    assert running.consumer.paused == set()
    assert agrees(succession)


def test_what_is_filled_during_a_hold_that_lasts_stands_still_with_the_others(
    succession: Succession,
) -> None:
    running = succession.start()
    running.producer.script.extend(["abort"] * 4)
    seen: list[set[TopicPartition]] = []

    def pass_time() -> None:
        running.clock.now += 0.8
        running.reads.allowed = ALL if len(seen) == 2 else 0
        seen.append(set(running.consumer.paused))

    running.producer.before_commit = pass_time
    succession.write(partition=1)
    running.run()

    assert seen == [set(), set(), {SECOND}, {FIRST, SECOND}, {FIRST, SECOND}]
    assert running.consumer.paused == set()
    running.finish()
    assert agrees(succession)


def test_a_partition_lost_and_back_in_one_poll_is_filled_anew(
    succession: Succession,
) -> None:
    running = succession.start()
    running.reads.allowed = 2
    running.run()
    (before,) = running.reads.begun
    succession.broker.take_away(running.consumer, [FIRST])
    running.run()

    assert before.is_abandoned
    assert len(running.reads.begun) == 2
    assert running.loading == {FIRST}
    succession.write()
    running.finish()
    assert agrees(succession)


def test_a_partition_that_moves_on_is_filled_elsewhere(succession: Succession) -> None:
    running = succession.start("a")
    running.reads.allowed = 2
    running.run()
    running.consumer.close()
    successor = succession.start("b")

    assert [read.is_abandoned for read in running.reads.begun] == [True]
    assert running.loading == set()
    succession.write()
    successor.finish()
    assert agrees(succession)


def test_a_worker_told_to_stop_lets_the_reader_go(succession: Succession) -> None:
    running = succession.prepared("0")
    running.stop.request()
    running.worker.run()
    running = succession.prepared("0")
    running.producer.before_commit = running.stop.request
    succession.write(partition=1)
    running.worker.run()

    assert running.worker.phase is Phase.STOPPED
    assert all(read.is_abandoned for read in running.reads.begun)
    assert len(running.reads.begun) == 1


def test_no_snapshot_is_taken_of_what_is_still_being_filled(
    succession: Succession,
) -> None:
    before = succession.snapshots()
    running = succession.start()
    running.reads.allowed = 3
    running.run()
    running.take_snapshots()

    taken = {path.parent.name for path in set(succession.snapshots()) - set(before)}
    assert taken == {"1"}


def test_where_none_is_sound_the_log_is_folded(succession: Succession) -> None:
    for path in succession.snapshots():
        path.write_bytes(path.read_bytes()[:-1])
    running = succession.start()
    succession.write()
    running.finish()

    assert running.metrics.store.value(catalogue.EVENTS_REPLAYED) == 18
    assert agrees(succession)


def test_where_none_is_sound_and_the_log_is_gone_the_worker_ends(
    succession: Succession,
) -> None:
    for path in succession.snapshots():
        path.write_bytes(path.read_bytes()[:-1])
    succession.broker.trim(FIRST, 4)
    running = succession.start()
    running.reads.allowed = ALL

    with pytest.raises(StateUnusable, match="transactions/0"):
        running.run()


def test_a_sound_one_saves_a_worker_whose_log_is_gone(succession: Succession) -> None:
    succession.broker.trim(FIRST, 9)
    running = succession.start()
    succession.write()
    running.finish()

    assert len(succession.answers(0)) == 10
    assert running.worker._assignment.partitions[FIRST].incomplete_until_ms is None


def test_one_from_before_the_log_begins_is_not_read(succession: Succession) -> None:
    succession.write(3)
    running = succession.start()
    running.finish()
    running.consumer.close()
    succession.broker.trim(FIRST, 11)
    successor = succession.start(cold_start=True)
    successor.finish()

    partition = successor.worker._assignment.partitions[FIRST]
    assert partition.fold_start == 11


def test_progress_and_duration_are_measured(succession: Succession) -> None:
    running = succession.start()
    running.reads.allowed = 2
    running.clock.now += 1.0
    running.run()
    value = running.metrics.store.value

    assert 0 < value(catalogue.RESTORE_PROGRESS, INPUT, "0") < 1
    assert value(catalogue.RESTORE_PROGRESS, INPUT, "1") == 1
    running.clock.now += 1.0
    running.finish()
    running.clock.now += 1.0
    running.run()
    assert value(catalogue.RESTORE_PROGRESS, INPUT, "0") == 1
    assert value(catalogue.RESTORE_REMAINING, INPUT, "0") == 0


def test_the_end_tells_how_long_it_took_and_of_what(
    succession: Succession, caplog: pytest.LogCaptureFixture
) -> None:
    running = succession.start()
    running.clock.now += 6.0
    with caplog.at_level("INFO", "worker.loop"):
        running.run()
        running.finish()

    told = {record.message: record.__dict__ for record in caplog.records}
    assert told["restore_progress"]["loaded_ratio"] == 0.0
    live = told["partition_live"]
    assert (live["seconds"], live["keys"], live["events"]) == (6.0, 3, 9)
    assert live["replayed"] == 0


def test_a_thread_ends_when_what_it_reads_is_let_go() -> None:
    """However much there is still to be read: it waits for nobody."""
    endless: Generator[ReadItem] = (ReadEnd.WHOLE for _ in iter(int, 1))
    (read,) = read_in_thread([endless])
    read.abandon()

    wait_until(lambda: _readers() == 0, what="the end of the thread")


def broken() -> Generator[ReadItem]:
    """A source that ends its thread."""
    yield from ()
    raise SystemExit


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_reader_that_fails_in_an_unknown_way_gives_way_to_the_log() -> None:
    """So does every partition that waits behind it."""
    ends: list[ReadItem] = []
    for read in read_in_thread([broken(), broken()]):
        wait_until(partial(_took, read, ends), what="an end")
    wait_until(lambda: _readers() == 0, what="the end of the thread")

    assert ends == [ReadEnd.NONE, ReadEnd.NONE]


def _took(read: Read, items: list[ReadItem]) -> bool:
    item = read.take()
    if item is not None:
        items.append(item)
    return item is not None


def _readers() -> int:
    return sum(thread.name == "restore" for thread in threading.enumerate())
