"""Faults of what the state is made from: snapshots, and the log itself."""

from __future__ import annotations

import datetime as dt
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import TopicPartition as VendorPartition
from confluent_kafka.admin import AdminClient

from tests.faults.fault import Fault
from tests.faults.records import write_at
from tests.faults.scene import RATE, Scene
from tests.faults.watch import PATIENCE_SECONDS, now_ms
from tests.waiting import wait_until
from worker.errors import ExitCode
from worker.kafka.admin import Cluster
from worker.kafka.reader import LogReader, Span
from worker.snapshots.file import SnapshotFileWriter, open_snapshot

_DAY_MS = 86_400_000


def flip(path: Path) -> None:
    """Change one bit."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    """Lose the last bytes."""
    os.truncate(path, path.stat().st_size - 7)


def of_another_topic(path: Path) -> None:
    """Let it say, soundly, that it is of a topic made earlier."""
    _forge(path, topic_id="another")


def of_another_state(path: Path) -> None:
    """Let it say, soundly, that it is of another spec's state."""
    _forge(path, state_fingerprint="0" * 64)


def newer_than_the_commit(path: Path) -> None:
    """Let it say, soundly, that it holds records that are still to be answered."""
    _forge(path, ahead=10**9)


def _forge(path: Path, *, ahead: int = 0, **identity: str) -> None:
    with open_snapshot(path) as snapshot:
        parts = list(snapshot.slices(max_events=10**9))
    other = msgspec.structs.replace(snapshot.header.identity, **identity)
    header = msgspec.structs.replace(
        snapshot.header,
        identity=other,
        next_offset=snapshot.header.next_offset + ahead,
    )
    with path.open("wb") as file:
        writer = SnapshotFileWriter(file, header)
        for part in parts:
            writer.add(part, snapshot.complete_at)
        writer.finish()


_SPOILINGS: tuple[Callable[[Path], None], ...] = (
    flip,
    truncate,
    of_another_topic,
    of_another_state,
    newer_than_the_commit,
    Path.unlink,
)


def spoiled_snapshots(scene: Scene, rounds: int) -> None:
    """Killed, all of its snapshots spoiled, started: none may be loaded."""
    with scene.traffic.flowing(RATE):
        worker = scene.start()
        for turn in range(rounds):
            scene.await_scores()
            wait_until(
                lambda: _partitions_with_one(scene) == scene.stream.partitions,
                what="a snapshot of each partition",
                seconds=PATIENCE_SECONDS,
            )
            worker.kill()
            spoiled = _snapshots(scene)
            for path in spoiled:
                _SPOILINGS[turn % len(_SPOILINGS)](path)
            are_there = any(path.exists() for path in spoiled)
            before = len(worker.events("partition_assigned"))
            told = len(worker.events("snapshot_passed_over"))
            began_ms = now_ms()
            worker = scene.start()
            scene.struck_at(began_ms)
            starts = worker.events("partition_assigned")[before:]
            assert [start["replay_from"] for start in starts] == [0] * len(starts)
            # Of the warnings of a process about all of them, only the first is let
            # through; of those that are gone nothing is known.
            passed_over = len(worker.events("snapshot_passed_over")) > told
            assert passed_over == are_there
            assert not worker.events("snapshot_loaded")
            for path in spoiled:
                path.unlink(missing_ok=True)
    names = ", ".join(spoil.__name__ for spoil in _SPOILINGS[:rounds])
    scene.notes.append(f"none was loaded, all were replayed: {names}")


def _partitions_with_one(scene: Scene) -> int:
    return len({path.parent for path in _snapshots(scene)})


def _snapshots(scene: Scene) -> list[Path]:
    return sorted((scene.stream.directory / "state").rglob("*.snapshot"))


def trimmed_log(scene: Scene, rounds: int) -> None:
    """The log is trimmed past what the state needs: refused, unless cold.

    100 days ago           99 days ago           now
    1000 payments   trim   500 payments          500 payments
    answered               history lacks: flagged     beyond all windows: not
    """
    assert rounds == 1
    stream, now = scene.stream, int(time.time() * 1000)
    worker = scene.start()
    write_at(scene.traffic, now - 100 * _DAY_MS, 1000)
    stream.await_answers(1000)
    assert worker.end() == ExitCode.OK
    scene.inputs = stream.inputs()
    _trim(scene)
    write_at(scene.traffic, now - 99 * _DAY_MS, 500)
    write_at(scene.traffic, now, 500)

    refused = scene.start()
    assert refused.wait(60) == ExitCode.STATE, refused.log.read_text()[-1000:]
    scene.struck += 1
    cold_ms = now_ms()
    cold = scene.start(FRAUD_COLD_START="true")
    scene.seconds += scene.watch.await_after(cold_ms)
    cold.await_event("partition_live", 2 * stream.partitions)
    stream.await_answers(2000)
    flagged = _flagged_days(scene, now)
    assert flagged == {100: {False}, 99: {True}, 0: {False}}, flagged
    scene.notes.append(
        f"exit {int(ExitCode.STATE)}; cold: only scores that lack history are flagged"
    )


def _trim(scene: Scene) -> None:
    """Delete all but the last few records of each partition."""
    with Cluster(scene.stream.clients) as cluster:
        bounds = cluster.bounds(cluster.partitions(scene.stream.transactions))
    admin = AdminClient({"bootstrap.servers": scene.stream.kafka.bootstrap_servers})
    until = [VendorPartition(*place, log.end - 5) for place, log in bounds.items()]
    for future in admin.delete_records(until).values():
        future.result()


def _flagged_days(scene: Scene, now: int) -> dict[int, set[bool]]:
    """Return, by age in days, whether scores say that their state is incomplete."""
    found: dict[int, set[bool]] = {}
    for score in _scores(scene):
        age = round((now / 1000 - _seconds(score["event_time"])) / 86_400)
        is_flagged = "state_incomplete" in score.get("flags", ())
        found.setdefault(age, set()).add(is_flagged)
    return found


def _scores(scene: Scene) -> Iterator[dict[str, Any]]:
    clients = scene.stream.clients
    with Cluster(clients) as cluster, LogReader(clients) as reader:
        bounds = cluster.bounds(cluster.partitions(scene.stream.scores))
        for place, log in bounds.items():
            for batch in reader.read(Span(place, log.start, log.end)):
                yield from (json.loads(value or b"") for value in batch.records.values)


def _seconds(event_time: str) -> float:
    return dt.datetime.fromisoformat(event_time).timestamp()


FAULTS = (
    Fault(
        name="snapshots",
        title="killed, snapshots spoiled in six ways",
        play=spoiled_snapshots,
        rounds=6,
        quick_rounds=1,
        settings={"FRAUD_SNAPSHOT_INTERVAL_SECONDS": "0.3"},
    ),
    Fault(
        name="trimmed",
        title="log trimmed past what the state needs",
        play=trimmed_log,
        rounds=1,
        settings={"FRAUD_SNAPSHOT_INTERVAL_SECONDS": "0"},
    ),
)
