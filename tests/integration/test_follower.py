"""Topics are followed side by side, as far as a reader of committed records may see."""

from __future__ import annotations

from collections import defaultdict

import pytest

from demo.broker import KafkaBroker
from tests.conftest import FreshTopic
from tests.published import open_commit, publish
from tests.waiting import wait_until
from worker.errors import StateUnusable
from worker.kafka.admin import Cluster
from worker.kafka.config import ClientSettings
from worker.kafka.follower import Follower
from worker.records import Output, TopicPartition

COUNT = 300


@pytest.fixture
def client(kafka: KafkaBroker) -> ClientSettings:
    return ClientSettings(kafka.bootstrap_servers, "follower-group", "0")


def outputs(places: list[TopicPartition], count: int = COUNT) -> list[Output]:
    """Records by turns for each partition but the last."""
    return [
        Output(p.topic, b"%d" % n, None, p.partition, [])
        for n in range(count)
        for p in places[:-1]
    ]


class Read:
    """What a follower has returned by now."""

    def __init__(self, follower: Follower):
        self.follower = follower
        self.values: dict[TopicPartition, list[bytes | None]] = defaultdict(list)

    def to_the_end(self) -> bool:
        for place, batch in self.follower.poll(50, 0.1).items():
            assert set(batch.topics) == {place.topic}
            assert set(batch.partitions) == {place.partition}
            assert batch.offsets[-1] < self.follower.positions[place]
            self.values[place] += batch.values
        return not self.follower.unread


def test_every_committed_record_comes_once_and_the_ends_are_known(
    kafka: KafkaBroker, client: ClientSettings, fresh_topic: FreshTopic
) -> None:
    """Not those of an aborted or an open commit; the last partition is empty."""
    topic = fresh_topic("followed", partitions=3)
    places = [TopicPartition(topic, partition) for partition in range(3)]
    publish(kafka.bootstrap_servers, outputs(places))
    with (
        Follower(client, dict.fromkeys(places, 0)) as follower,
        open_commit(kafka.bootstrap_servers, outputs(places, 1)),
        Cluster(client) as cluster,
    ):
        read = Read(follower)
        assert follower.unread == set(places)

        wait_until(read.to_the_end, what="the ends", seconds=30)

        expected = [b"%d" % n for n in range(COUNT)]
        assert [read.values[p] for p in places] == [expected, expected, []]
        ends = {place: log.end for place, log in cluster.bounds(places).items()}
        assert follower.positions == ends
        follower.ends_are(ends)
        assert follower.unread == set()


def test_what_is_published_later_makes_a_partition_unread(
    kafka: KafkaBroker, client: ClientSettings, fresh_topic: FreshTopic
) -> None:
    topic = fresh_topic("followed-on", partitions=2)
    places = [TopicPartition(topic, partition) for partition in range(2)]
    with Follower(client, dict.fromkeys(places, 0)) as follower:
        read = Read(follower)
        wait_until(read.to_the_end, what="the ends", seconds=30)
        publish(kafka.bootstrap_servers, outputs(places))

        follower.ends_are({places[0]: COUNT, places[1]: 0})

        assert follower.unread == {places[0]}
        wait_until(read.to_the_end, what="the ends", seconds=30)
        assert len(read.values[places[0]]) == COUNT


def test_an_offset_that_is_not_there_ends_with_a_name(
    client: ClientSettings, fresh_topic: FreshTopic
) -> None:
    place = TopicPartition(fresh_topic("followed-short"), 0)
    with (
        Follower(client, {place: 7}) as follower,
        pytest.raises(StateUnusable, match="cannot be read"),
    ):
        wait_until(Read(follower).to_the_end, what="an error", seconds=30)
