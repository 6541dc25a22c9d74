"""What the loop relies on, held against the broker in memory and against Kafka."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from tests.contract.worlds import World, WorldInMemory, WorldOfKafka, values
from tests.waiting import wait_until
from worker.errors import CommitAborted
from worker.loop import Consumer
from worker.records import (
    BY_KEY,
    LogBounds,
    NextOffset,
    Output,
    RecordBatch,
    TopicPartition,
)

_groups = itertools.count(1)


@pytest.fixture(
    params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)],
)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made: World
    if request.param == "memory":
        made = WorldInMemory()
    else:
        made = WorldOfKafka(request.getfixturevalue("kafka"))
    yield made
    made.close()


@pytest.fixture
def group() -> str:
    return f"contract-group-{next(_groups)}"


@dataclass
class Listener:
    """Keeps what a consumer tells, and starts partitions where it is told to."""

    starts: Mapping[TopicPartition, int] = field(default_factory=dict)
    left_out: set[TopicPartition] = field(default_factory=set)
    committed: dict[TopicPartition, NextOffset | None] = field(default_factory=dict)
    revoked: list[TopicPartition] = field(default_factory=list)
    records: RecordBatch = field(default_factory=RecordBatch)

    def on_assigned(
        self, committed: Mapping[TopicPartition, NextOffset | None]
    ) -> dict[TopicPartition, int]:
        self.committed.update(committed)
        return {
            place: self.starts.get(place, offset.offset if offset else 0)
            for place, offset in committed.items()
            if place not in self.left_out
        }

    def on_gone(self, places: Sequence[TopicPartition]) -> None:
        self.revoked.extend(places)

    def join(self, consumer: Consumer) -> None:
        consumer.subscribe(
            on_assigned=self.on_assigned, on_revoked=self.on_gone, on_lost=self.on_gone
        )

    def poll(self, consumer: Consumer) -> None:
        batch = consumer.poll(100, 0.05)
        self.records.topics += batch.topics
        self.records.partitions += batch.partitions
        self.records.offsets += batch.offsets
        self.records.keys += batch.keys
        self.records.values += batch.values


def poll_until(
    condition: Callable[[], object], *members: tuple[Consumer, Listener]
) -> None:
    """Poll the members in turn; fails when the condition never holds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        for consumer, listener in members:
            listener.poll(consumer)


def one_partition(world: World, group: str, *records: bytes) -> TopicPartition:
    """A topic of one partition, and a group that starts at its beginning."""
    place = TopicPartition(world.create_topic(1), 0)
    world.write(place, *records)
    world.start_group(group, {place: NextOffset(0, "start")})
    return place


def test_a_new_member_is_told_what_the_group_committed(
    world: World, group: str
) -> None:
    place = one_partition(world, group)
    consumer, listener = world.consumer(group, "a", place.topic), Listener()
    listener.join(consumer)
    poll_until(lambda: listener.committed, (consumer, listener))

    assert listener.committed == {place: NextOffset(0, "start")}
    consumer.close()


def test_a_member_of_a_group_that_never_committed_is_told_so(
    world: World, group: str
) -> None:
    place = TopicPartition(world.create_topic(1), 0)
    consumer, listener = world.consumer(group, "a", place.topic), Listener()
    listener.join(consumer)
    poll_until(lambda: listener.committed, (consumer, listener))

    assert listener.committed == {place: None}
    consumer.close()


def test_records_come_in_order_from_where_the_callback_says(
    world: World, group: str
) -> None:
    place = one_partition(world, group, b"a", b"b", b"c")
    consumer, listener = world.consumer(group, "a", place.topic), Listener({place: 1})
    listener.join(consumer)
    poll_until(lambda: len(listener.records) == 2, (consumer, listener))

    assert listener.records.values == [b"b", b"c"]
    assert listener.records.offsets == [1, 2]
    assert listener.records.keys == [b"k", b"k"]
    consumer.close()


def test_the_position_passes_offsets_that_hold_no_record(
    world: World, group: str
) -> None:
    place = one_partition(world, group, b"a")
    world.write_in_vain(place, 3)
    world.write(place, b"b")
    world.write_in_vain(place, 2)
    consumer, listener = world.consumer(group, "a", place.topic), Listener()
    listener.join(consumer)
    poll_until(lambda: consumer.positions().get(place) == 7, (consumer, listener))

    assert listener.records.offsets == [0, 4]
    assert consumer.lags() == {place: 0}
    poll_until(lambda: consumer.headrooms() == {place: 7}, (consumer, listener))
    consumer.close()


def test_the_end_is_told_again_and_again_while_nothing_comes(
    world: World, group: str
) -> None:
    place = one_partition(world, group, b"a")
    consumer, listener = world.consumer(group, "a", place.topic), Listener()
    listener.join(consumer)
    began = time.time()

    def told_since(moment: float) -> bool:
        assert consumer.lags().get(place, 0) <= 1
        return consumer.told_at().get(place, 0.0) > moment

    poll_until(lambda: told_since(began), (consumer, listener))
    first = consumer.told_at()[place]
    poll_until(lambda: told_since(first), (consumer, listener))

    assert consumer.lags() == {place: 0}
    assert consumer.told_at()[place] <= time.time()
    consumer.close()


def test_a_commit_shows_outputs_and_offsets_together(world: World, group: str) -> None:
    place = one_partition(world, group, b"a")
    scores = world.create_topic(1)
    consumer, listener = world.consumer(group, "a", place.topic), Listener()
    listener.join(consumer)
    poll_until(lambda: len(listener.records), (consumer, listener))
    producer = world.producer(consumer, group, "a")

    output = Output(scores, b"score", b"k", 0, [("origin", b"0")])
    producer.commit([output], {place: NextOffset(1, "after")})

    (stored,) = world.read(scores, awaited=1)[0]
    assert (stored.key, stored.value) == (b"k", b"score")
    assert stored.headers == [("origin", b"0")]
    assert consumer.committed([place]) == {place: NextOffset(1, "after")}
    consumer.close()
    producer.close()


def test_commits_keep_their_order_and_leave_gaps(world: World, group: str) -> None:
    place = one_partition(world, group)
    scores = world.create_topic(1)
    consumer, listener = world.consumer(group, "a", place.topic), Listener()
    listener.join(consumer)
    poll_until(lambda: listener.committed, (consumer, listener))
    producer = world.producer(consumer, group, "a")

    for i in range(3):
        output = Output(scores, b"%d" % i, b"k", 0, [])
        producer.commit([output], {place: NextOffset(i, "")})

    stored = world.read(scores, awaited=3)[0]
    assert values(stored) == [b"0", b"1", b"2"]
    assert [record.offset for record in stored] == [0, 2, 4]
    consumer.close()
    producer.close()


#: Keys with the values that Java's `Utils.murmur2` has in its own test.
MURMUR2 = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


def test_outputs_without_a_partition_go_where_java_puts_their_key(
    world: World, group: str
) -> None:
    """Records with the same key meet, in their order, also from several commits."""
    place = one_partition(world, group)
    inner = world.create_topic(7)
    consumer, listener = world.consumer(group, "a", place.topic), Listener()
    listener.join(consumer)
    poll_until(lambda: listener.committed, (consumer, listener))
    producer = world.producer(consumer, group, "a")

    for value in (b"first", b"second"):
        outputs = [Output(inner, value, k, BY_KEY, [], 1000) for k in MURMUR2]
        producer.commit(outputs, {place: NextOffset(0, "")})

    stored = world.read(inner, awaited=2 * len(MURMUR2))
    found = {
        key: [(p, s.value) for p, log in stored.items() for s in log if s.key == key]
        for key in MURMUR2
    }
    assert found == {
        key: [((value & 0x7FFFFFFF) % 7, each) for each in (b"first", b"second")]
        for key, value in MURMUR2.items()
    }
    consumer.close()
    producer.close()


def test_an_output_has_the_time_that_it_names_or_the_clock_s(
    world: World, group: str
) -> None:
    place = one_partition(world, group)
    inner = world.create_topic(1)
    consumer, listener = world.consumer(group, "a", place.topic), Listener()
    listener.join(consumer)
    poll_until(lambda: listener.committed, (consumer, listener))
    producer = world.producer(consumer, group, "a")
    began_ms = int(time.time() * 1000)

    named = Output(inner, b"a", b"k", 0, [], 1000)
    unnamed = Output(inner, b"b", b"k", 0, [])
    producer.commit([named, unnamed], {place: NextOffset(0, "")})

    first, second = world.read(inner, awaited=2)[0]
    assert first.timestamp_ms == 1000
    assert second.timestamp_ms >= began_ms
    consumer.close()
    producer.close()


def test_offsets_alone_can_be_committed(world: World, group: str) -> None:
    place = one_partition(world, group)
    consumer, listener = world.consumer(group, "a", place.topic), Listener()
    listener.join(consumer)
    poll_until(lambda: listener.committed, (consumer, listener))
    producer = world.producer(consumer, group, "a")

    producer.commit([], {place: NextOffset(0, "again")})

    assert consumer.committed([place]) == {place: NextOffset(0, "again")}
    consumer.close()
    producer.close()


def test_nothing_is_visible_of_a_commit_by_somebody_who_is_no_member(
    world: World, group: str
) -> None:
    place = one_partition(world, group, b"a")
    scores = world.create_topic(1)
    member, listener = world.consumer(group, "a", place.topic), Listener()
    listener.join(member)
    poll_until(lambda: listener.committed, (member, listener))
    stranger = world.consumer(group, "b", place.topic)
    producer = world.producer(stranger, group, "b")

    with pytest.raises(CommitAborted):
        producer.commit([Output(scores, b"x", b"k", 0, [])], {place: NextOffset(1, "")})

    assert world.read(scores)[0] == []
    assert member.committed([place]) == {place: NextOffset(0, "start")}
    member.close()
    producer.close()


def test_two_members_share_the_partitions_and_give_them_back(
    world: World, group: str
) -> None:
    topic = world.create_topic(2)
    places = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    world.start_group(group, {place: NextOffset(0, "") for place in places})
    first, of_first = world.consumer(group, "a", topic), Listener()
    second, of_second = world.consumer(group, "b", topic), Listener()
    members = (first, of_first), (second, of_second)
    of_first.join(first)
    poll_until(lambda: len(of_first.committed) == 2, members[0])
    of_second.join(second)
    poll_until(lambda: of_second.committed, *members)

    assert len(of_first.revoked) == 1
    assert list(of_second.committed) == of_first.revoked

    second.close()

    assert of_second.revoked == of_first.revoked
    of_first.committed.clear()
    poll_until(lambda: of_first.committed, members[0])
    assert list(of_first.committed) == of_second.revoked
    first.close()


def test_a_member_that_leaves_without_partitions_is_not_waited_for(
    world: World, group: str
) -> None:
    place = one_partition(world, group)
    first, of_first = world.consumer(group, "a", place.topic), Listener()
    idle, of_idle = world.consumer(group, "b", place.topic), Listener()
    of_first.join(first)
    poll_until(lambda: of_first.committed, (first, of_first))
    of_idle.join(idle)
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        of_first.poll(first)
        of_idle.poll(idle)
    idle.close()
    first.close()
    successor, of_successor = world.consumer(group, "c", place.topic), Listener()
    of_successor.join(successor)
    poll_until(lambda: of_successor.committed, (successor, of_successor))

    assert list(of_successor.committed) == [place]
    successor.close()


def test_a_paused_partition_is_read_again_when_it_is_resumed(
    world: World, group: str
) -> None:
    topic = world.create_topic(2)
    stays, waits = TopicPartition(topic, 0), TopicPartition(topic, 1)
    world.start_group(group, {stays: NextOffset(0, ""), waits: NextOffset(0, "")})
    consumer, listener = world.consumer(group, "a", topic), Listener()
    listener.join(consumer)
    poll_until(lambda: len(listener.committed) == 2, (consumer, listener))
    consumer.pause([waits])
    world.write(waits, b"waits")
    world.write(stays, b"stays")
    poll_until(lambda: len(listener.records), (consumer, listener))
    assert listener.records.values == [b"stays"]

    consumer.resume([waits])
    poll_until(lambda: len(listener.records) == 2, (consumer, listener))

    assert listener.records.values == [b"stays", b"waits"]
    consumer.close()


def test_a_partition_that_was_paused_and_comes_back_is_read(
    world: World, group: str
) -> None:
    topic = world.create_topic(2)
    places = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    world.start_group(group, {place: NextOffset(0, "") for place in places})
    first, of_first = world.consumer(group, "a", topic), Listener()
    second, of_second = world.consumer(group, "b", topic), Listener()
    of_first.join(first)
    poll_until(lambda: len(of_first.committed) == 2, (first, of_first))
    first.pause(places)
    of_second.join(second)
    poll_until(lambda: of_second.committed, (first, of_first), (second, of_second))
    (moved,) = of_second.committed
    second.close()
    of_first.committed.clear()
    poll_until(lambda: of_first.committed, (first, of_first))
    world.write(moved, b"a")
    poll_until(lambda: len(of_first.records), (first, of_first))

    assert of_first.records.values == [b"a"]
    first.close()


def test_what_the_callback_leaves_out_is_read_from_where_it_is_started(
    world: World, group: str
) -> None:
    topic = world.create_topic(2)
    now, later = TopicPartition(topic, 0), TopicPartition(topic, 1)
    world.start_group(group, {now: NextOffset(0, ""), later: NextOffset(2, "")})
    world.write(now, b"now")
    world.write(later, b"a", b"b", b"c")
    consumer, listener = world.consumer(group, "a", topic), Listener(left_out={later})
    listener.join(consumer)
    poll_until(lambda: len(listener.records), (consumer, listener))
    assert consumer.positions() == {now: 1}
    consumer.pause([later])
    consumer.resume([later])

    consumer.start({later: 1})
    poll_until(lambda: len(listener.records) == 3, (consumer, listener))

    assert listener.records.values == [b"now", b"b", b"c"]
    assert listener.committed.keys() == {now, later}
    consumer.close()
    assert set(listener.revoked) == {now, later}


def test_a_partition_that_was_never_started_moves_like_any_other(
    world: World, group: str
) -> None:
    """Also where nothing at all has been started, and when it comes back."""
    topic = world.create_topic(2)
    places = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    world.start_group(group, {place: NextOffset(0, "") for place in places})
    first, of_first = world.consumer(group, "a", topic), Listener(left_out=set(places))
    second, of_second = world.consumer(group, "b", topic), Listener()
    of_first.join(first)
    poll_until(lambda: len(of_first.committed) == 2, (first, of_first))
    of_second.join(second)
    poll_until(lambda: of_second.committed, (first, of_first), (second, of_second))
    (moved,) = of_second.committed
    assert of_first.revoked == [moved]
    second.close()
    of_first.committed.clear()
    poll_until(lambda: of_first.committed, (first, of_first))
    for place in places:
        world.write(place, b"a")

    first.start(dict.fromkeys(places, 0))
    poll_until(lambda: len(of_first.records) == 2, (first, of_first))

    assert of_first.records.values == [b"a", b"a"]
    first.close()


def test_offsets_are_found_by_time(world: World, group: str) -> None:
    place = one_partition(world, group)
    for at_ms in (1000, 2000, 3000):
        world.write(place, b"x", at_ms=at_ms)
    consumer = world.consumer(group, "a", place.topic)

    assert consumer.offsets_at({place: 2000}) == {place: 1}
    assert consumer.offsets_at({place: 2001}) == {place: 2}
    assert consumer.offsets_at({place: 3001}) == {place: None}
    assert consumer.offsets_at({}) == {}


def test_the_bounds_of_a_log_that_was_never_trimmed(world: World, group: str) -> None:
    place = one_partition(world, group, b"a", b"b")
    world.write_in_vain(place, 2)
    consumer = world.consumer(group, "a", place.topic)

    assert consumer.log_bounds([place]) == {place: LogBounds(0, 4, None)}


def test_what_is_written_is_told_and_reached(world: World, group: str) -> None:
    """What an abort left is behind nobody's back: positions pass it."""
    place = one_partition(world, group, b"a", b"b")
    world.write_in_vain(place, 2)
    consumer, listener = world.consumer(group, "a", place.topic), Listener()
    # Who asks for the first time may have to look for the leader, and then again.
    wait_until(
        lambda: consumer.written_until([place]) == {place: 4},
        what="the end of the log",
        seconds=60,
    )
    listener.join(consumer)

    poll_until(lambda: consumer.positions().get(place) == 4, (consumer, listener))

    assert listener.records.values == [b"a", b"b"]
    consumer.close()
