"""Records that wait while a result is held."""

from __future__ import annotations

from tests.streams import append
from worker.loop.backlog import Backlog
from worker.records import RecordBatch, TopicPartition

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


def batch(*places: TopicPartition, first: int = 0) -> RecordBatch:
    records = RecordBatch()
    for offset, place in enumerate(places, first):
        append(records, b"k", b"v", offset=offset, timestamp_ms=offset, place=place)
    return records


def test_records_leave_in_the_order_in_which_they_came() -> None:
    backlog = Backlog()
    backlog.add(batch(A, B))
    backlog.add(batch(A, first=2))

    assert backlog.take(2).offsets == [0, 1]
    assert len(backlog) == 1
    assert backlog.take(2) == batch(A, first=2)
    assert len(backlog) == 0


def test_records_of_partitions_that_moved_on_are_forgotten() -> None:
    backlog = Backlog()
    backlog.add(batch(A, B, A))
    backlog.drop([A])

    assert backlog.take(10) == batch(B, first=1)


def test_forgetting_a_partition_that_has_no_records_changes_nothing() -> None:
    backlog = Backlog()
    backlog.add(batch(A))
    backlog.drop([B])

    assert backlog.take(10) == batch(A)
