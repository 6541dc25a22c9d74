"""Which records of the client are ours to answer."""

from __future__ import annotations

from confluent_kafka import TIMESTAMP_CREATE_TIME, Message

from worker.kafka.reading import Reading, to_columns
from worker.records import RecordBatch, TopicPartition

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


def message(place: TopicPartition, offset: int) -> Message:
    return Message(
        topic=place.topic,
        partition=place.partition,
        offset=offset,
        key=b"k",
        value=b"v%d" % offset,
        timestamp=(TIMESTAMP_CREATE_TIME, 1000 + offset),
    )


def columns(*messages: Message) -> RecordBatch:
    return to_columns(list(messages))


def reading(**starts: int) -> Reading:
    made = Reading()
    made.begin({TopicPartition("t", int(name[1:])): at for name, at in starts.items()})
    made.end_poll()
    return made


def test_records_become_columns() -> None:
    batch = reading(p0=5, p1=0).keep(
        columns(message(A, 5), message(B, 0), message(A, 7))
    )

    assert batch.topics == ["t", "t", "t"]
    assert batch.partitions == [0, 1, 0]
    assert batch.offsets == [5, 0, 7]
    assert batch.timestamps_ms == [1005, 1000, 1007]
    assert batch.keys == [b"k", b"k", b"k"]
    assert batch.values == [b"v5", b"v0", b"v7"]


def test_nothing_polled_is_an_empty_batch() -> None:
    assert len(Reading().keep(columns())) == 0


def test_positions_follow_the_last_record() -> None:
    made = reading(p0=5, p1=0)
    made.keep(columns(message(A, 5), message(A, 9)))

    assert made.positions() == {A: 10, B: 0}


def test_records_of_a_partition_that_is_not_ours_are_dropped() -> None:
    made = reading(p0=0)
    batch = made.keep(columns(message(B, 0), message(A, 0)))

    assert batch.partitions == [0]
    assert made.dropped == {"not_owned": 1}
    assert made.positions() == {A: 1}


def test_records_before_the_start_of_an_assignment_are_dropped() -> None:
    made = reading(p0=5)
    batch = made.keep(columns(message(A, 3), message(A, 4), message(A, 5)))

    assert batch.offsets == [5]
    assert made.dropped == {"already_read": 2}


def test_a_record_that_comes_twice_is_dropped() -> None:
    made = reading(p0=0)
    made.keep(columns(message(A, 0)))
    batch = made.keep(columns(message(A, 0), message(A, 1)))

    assert batch.offsets == [1]
    assert made.dropped == {"already_read": 1}


def test_a_partition_that_comes_back_in_the_same_poll_keeps_nothing_of_it() -> None:
    """Even a record past the new start may come from the old assignment."""
    made = reading(p0=0, p1=0)
    made.end([A])
    made.begin({A: 2})
    made.mark_end(A, 9)
    batch = made.keep(columns(message(A, 7), message(B, 0)))

    assert batch.partitions == [1]
    assert made.dropped == {"unclear_assignment": 1}
    made.end_poll()
    assert made.keep(columns(message(A, 2))).offsets == [2]
    assert made.positions() == {A: 3, B: 1}


def test_a_partition_that_is_new_in_this_poll_is_read_at_once() -> None:
    made = reading(p0=0)
    made.begin({B: 4})

    assert made.keep(columns(message(B, 4))).offsets == [4]


def test_the_end_moves_the_position_past_markers_until_the_next_record() -> None:
    made = reading(p0=0)
    made.keep(columns(message(A, 0)))
    made.mark_end(A, 3)
    assert made.positions() == {A: 3}

    made.keep(columns(message(A, 3)))

    assert made.positions() == {A: 4}


def test_the_end_of_a_partition_that_is_not_ours_is_no_news() -> None:
    made = Reading()
    made.mark_end(A, 3)

    assert made.positions() == {}
