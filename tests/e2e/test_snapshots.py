"""A worker that dies starts from its snapshots, and from the log where they are bad."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from demo.broker import KafkaBroker
from tests.faults.states import (
    flip,
    newer_than_the_commit,
    of_another_state,
    of_another_topic,
    truncate,
)
from tests.live import START_SECONDS, MakeStream, Stream, Traffic
from tests.waiting import wait_until
from worker.errors import ExitCode

OFTEN = {"FRAUD_SNAPSHOT_INTERVAL_SECONDS": "0.3"}

#: What is done to all snapshots of a partition, and what the log says of them.
SPOILT: dict[str, tuple[Callable[[Path], None], str | None]] = {
    "corrupted": (flip, "digest"),
    "truncated": (truncate, "digest"),
    "missing": (Path.unlink, None),
    "of another topic": (of_another_topic, "of another topic id"),
    "of another state": (of_another_state, "of another state fingerprint"),
    "newer than the commit": (newer_than_the_commit, "beyond the commit"),
}

#: Partitions: one for each damage, one with its newest damaged, one left alone.
NEWEST_SPOILT, SOUND = len(SPOILT), len(SPOILT) + 1


class Crash(NamedTuple):
    """What a worker's successor made of the snapshots, by partition."""

    left: dict[int, list[int]]
    starts: dict[int, dict[str, Any]]
    loaded: dict[int, dict[str, Any]]
    reasons: set[str]
    verified: str


def snapshots(stream: Stream, partition: int) -> list[Path]:
    """Oldest first."""
    directory = stream.directory / "state" / stream.group / stream.transactions
    return sorted((directory / str(partition)).glob("*.snapshot"))


@pytest.fixture(scope="module")
def crash(
    kafka: KafkaBroker, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Crash]:
    """A worker is killed under load, its snapshots are spoilt, it is started again."""
    directory = tmp_path_factory.mktemp("crash")
    settings = {"FRAUD_START": "earliest", **OFTEN}
    stream = Stream(kafka, "crash", models, directory, SOUND + 1, settings)
    stream.create_topics()
    with closing(stream):
        yield crashed(stream)


def crashed(stream: Stream) -> Crash:
    traffic = Traffic(stream)
    places = range(stream.partitions)
    with traffic.flowing(2000):
        worker = stream.start()
        wait_until(
            lambda: all(len(snapshots(stream, p)) >= 2 for p in places),
            what="two snapshots of each partition",
            seconds=START_SECONDS,
        )
        worker.kill()
        left = {p: [int(path.stem) for path in snapshots(stream, p)] for p in places}
        for partition, (spoil, _) in enumerate(SPOILT.values()):
            for path in snapshots(stream, partition):
                spoil(path)
        flip(snapshots(stream, NEWEST_SPOILT)[-1])
        before = len(worker.events("partition_assigned"))
        worker = stream.start()
        worker.await_event("partition_live", before + stream.partitions)
        stream.await_answers(traffic.count + 500)
    starts = worker.events("partition_assigned")[before:]
    loaded = worker.events("snapshot_loaded")
    passed_over = worker.events("snapshot_passed_over")
    return Crash(
        left,
        {start["partition"]: start for start in starts},
        {found["partition"]: found for found in loaded},
        {event["reason"] for event in passed_over},
        stream.verify(),
    )


@pytest.mark.parametrize("damage", SPOILT)
def test_one_that_is_not_right_is_never_loaded_and_the_log_is_folded(
    crash: Crash, damage: str
) -> None:
    partition = list(SPOILT).index(damage)
    reason = SPOILT[damage][1]

    assert crash.left[partition]
    assert partition not in crash.loaded
    assert crash.starts[partition]["replay_from"] == 0
    assert reason is None or any(reason in told for told in crash.reasons)


def test_where_the_newest_is_damaged_an_older_one_is_loaded(crash: Crash) -> None:
    older = crash.left[NEWEST_SPOILT][-2]

    assert crash.loaded[NEWEST_SPOILT]["offset"] == older
    assert crash.starts[NEWEST_SPOILT]["replay_from"] == older


def test_a_sound_one_saves_the_replay_of_what_is_in_it(crash: Crash) -> None:
    start = crash.starts[SOUND]

    assert crash.loaded[SOUND]["offset"] in crash.left[SOUND]
    assert 0 < start["replay_from"] <= start["offset"]


def test_whatever_was_loaded_every_answer_is_right(crash: Crash) -> None:
    assert "missing 0, duplicated 0, out of order 0, different 0" in crash.verified


def test_sigterm_leaves_snapshots_that_save_the_whole_replay(
    make_stream: MakeStream,
) -> None:
    stream = make_stream(FRAUD_SNAPSHOT_INTERVAL_SECONDS="3600")
    traffic = Traffic(stream)
    traffic.write(3000)
    worker = stream.start()
    stream.await_answers(3000)
    assert worker.end() == ExitCode.OK

    worker = stream.start()
    worker.await_event("partition_live", 2 * stream.partitions)

    for assigned in worker.events("partition_assigned")[stream.partitions :]:
        assert assigned["replay_from"] == assigned["offset"]
    traffic.write(500)
    stream.await_answers(3500)
    assert "missing 0, duplicated 0, out of order 0, different 0" in stream.verify()
