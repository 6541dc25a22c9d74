"""A worker that dies starts from its snapshots, and from the log where they are bad."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live import LiveWorker, MakeStream, Stream, Traffic
from tests.waiting import wait_until

OFTEN = {"FRAUD_SNAPSHOT_INTERVAL_SECONDS": "0.3"}


def snapshots(stream: Stream) -> list[Path]:
    return sorted((stream.directory / "state").rglob("*.snapshot"))


def die_after_snapshots(
    stream: Stream, traffic: Traffic, spoil: Callable[[Path], None] | None = None
) -> LiveWorker:
    """Kill a worker that has taken some under load; return its successor, live."""
    with traffic.flowing(2000):
        worker = stream.start()
        stream.await_answers(2000)
        wait_until(
            lambda: len(snapshots(stream)) >= 2 * stream.partitions,
            what="two snapshots of each partition",
            seconds=30.0,
        )
        worker.kill()
        for path in snapshots(stream) if spoil else []:
            assert spoil is not None
            spoil(path)
        worker = stream.start()
        worker.await_event("partition_live", 2 * stream.partitions)
        stream.await_answers(traffic.count + 500)
    return worker


def test_after_a_crash_the_replay_starts_at_the_snapshots(
    make_stream: MakeStream,
) -> None:
    stream = make_stream(**OFTEN)
    traffic = Traffic(stream)

    worker = die_after_snapshots(stream, traffic)

    assert len(worker.events("snapshot_loaded")) == stream.partitions
    for assigned in worker.events("partition_assigned")[stream.partitions :]:
        assert assigned["replay_from"] > 0
    assert "missing 0, duplicated 0, out of order 0, different 0" in stream.verify()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "spoil",
    [flip, lambda path: path.write_bytes(path.read_bytes()[:-7]), Path.unlink],
    ids=["corrupted", "truncated", "missing"],
)
def test_without_a_sound_one_the_state_is_folded_from_the_log(
    make_stream: MakeStream, spoil: Callable[[Path], None]
) -> None:
    stream = make_stream(**OFTEN)
    traffic = Traffic(stream)

    worker = die_after_snapshots(stream, traffic, spoil)

    assert not worker.events("snapshot_loaded")
    for assigned in worker.events("partition_assigned")[stream.partitions :]:
        assert assigned["replay_from"] == 0
    assert "missing 0, duplicated 0, out of order 0, different 0" in stream.verify()


def test_sigterm_leaves_snapshots_that_save_the_whole_replay(
    make_stream: MakeStream,
) -> None:
    stream = make_stream(FRAUD_SNAPSHOT_INTERVAL_SECONDS="3600")
    traffic = Traffic(stream)
    traffic.write(3000)
    worker = stream.start()
    stream.await_answers(3000)
    assert worker.end() == 0

    worker = stream.start()
    worker.await_event("partition_live", 2 * stream.partitions)

    for assigned in worker.events("partition_assigned")[stream.partitions :]:
        assert assigned["replay_from"] == assigned["offset"]
    traffic.write(500)
    stream.await_answers(3500)
    assert "missing 0, duplicated 0, out of order 0, different 0" in stream.verify()
