"""Faults of the disk that snapshots are written to."""

from __future__ import annotations

import re
import resource
from pathlib import Path

from tests.faults.fault import Fault
from tests.faults.scene import RATE, Scene
from tests.faults.watch import PATIENCE_SECONDS, now_ms
from tests.live import LiveWorker
from tests.waiting import wait_until

#: What a file may still hold, bytes: less than a snapshot here, more than the log.
_ROOM_BYTES = 65_536

#: Payments before the disk fills, which make each snapshot larger than that.
_HISTORY = 20_000


def full_disk(scene: Scene, rounds: int) -> None:
    """Every snapshot breaks off halfway; then there is room again."""
    with scene.traffic.flowing(RATE):
        worker = scene.start()
        scene.traffic.write(_HISTORY)
        scene.stream.await_answers(_HISTORY)
        _await_larger_one(scene)
        unlimited = _set_room(worker, _ROOM_BYTES)
        full_ms = now_ms()
        wait_until(
            lambda: _failures(worker) >= rounds,
            what=f"{rounds} snapshots that break off",
            seconds=PATIENCE_SECONDS,
        )
        scene.struck = _failures(worker)
        scene.await_scores()
        scene.note_silences(full_ms)
        assert worker.log.stat().st_size < _ROOM_BYTES, "the log was cut, too"
        assert worker.events("snapshot_failed")
        _set_room(worker, unlimited)
        _await_newer_one(scene)
        worker.kill()
        assert not list(_directory(scene).rglob("*.tmp")), "halves were left behind"
        began_ms = now_ms()
        worker = scene.start()
        scene.watch.await_after(began_ms)
        assert worker.events("snapshot_loaded"), "none was loaded afterwards"
    scene.notes.append(
        "scored on; once there was room, snapshots were taken, and loaded after kill -9"
    )


def _set_room(worker: LiveWorker, soft: int) -> int:
    """Let no file of the worker's grow beyond; return what was allowed before."""
    pid, limit = worker.process.pid, resource.RLIMIT_FSIZE
    before, hard = resource.prlimit(pid, limit)
    resource.prlimit(pid, limit, (soft, hard))
    return before


def _failures(worker: LiveWorker) -> int:
    count = re.search(
        r"^fraud_snapshot_failures_total (\d+)",
        worker.served()["/metrics"],
        re.MULTILINE,
    )
    return int(count[1]) if count else 0


def _await_larger_one(scene: Scene) -> None:
    wait_until(
        lambda: any(
            path.stat().st_size > 2 * _ROOM_BYTES for path in _snapshots(scene)
        ),
        what="a snapshot that will not fit",
        seconds=PATIENCE_SECONDS,
    )


def _await_newer_one(scene: Scene) -> None:
    before = set(_snapshots(scene))
    wait_until(
        lambda: set(_snapshots(scene)) - before,
        what="a snapshot after the disk was full",
        seconds=PATIENCE_SECONDS,
    )


def _snapshots(scene: Scene) -> list[Path]:
    return list(_directory(scene).rglob("*.snapshot"))


def _directory(scene: Scene) -> Path:
    return scene.stream.directory / "state"


FAULTS = (
    Fault(
        name="disk",
        title="disk full while snapshots are written",
        play=full_disk,
        rounds=5,
        quick_rounds=2,
        settings={"FRAUD_SNAPSHOT_INTERVAL_SECONDS": "0.3"},
    ),
)
