"""Faults of one process: killed, doubled, stopped, gone for good."""

from __future__ import annotations

import signal
import time

from tests.faults.fault import Fault
from tests.faults.scene import RATE, Scene
from tests.faults.watch import now_ms
from tests.live import LiveWorker, kill_in_open_commit
from worker.errors import ExitCode

#: Payments a second under which a worker is asked to stop.
_HEAVY_RATE = 20_000


def kill_in_open_commits(scene: Scene, rounds: int) -> None:
    """The successor of the same name is started at once."""
    with scene.traffic.flowing(RATE):
        worker = scene.start()
        scene.await_scores()
        for _ in range(rounds):
            kill_in_open_commit(scene.stream, worker)
            began_ms = now_ms()
            worker = scene.start()
            scene.struck_at(began_ms)
    scene.notes.append("seconds count from the start of the successor's process")


def two_of_one_name(scene: Scene, rounds: int) -> None:
    """The second takes over; the first must end with the code of the fenced."""
    with scene.traffic.flowing(RATE):
        first = scene.start()
        scene.await_scores()
        for fenced_before in range(rounds):
            second = scene.start()
            first.await_event("fenced", fenced_before + 1)
            fenced_ms = now_ms()
            assert _ends_with(first, ExitCode.FENCED), first.process.returncode
            said = first.events("stopped")[-1]["because"]
            assert "FRAUD_INSTANCE" in said, said
            scene.struck_at(fenced_ms)
            first = second
    scene.notes.append(
        f"each loser ended with {int(ExitCode.FENCED)} and named FRAUD_INSTANCE; the "
        "seconds count from the moment at which it was fenced"
    )


def sigterm(scene: Scene, rounds: int) -> None:
    """It ends with 0 in under five seconds and leaves nothing open."""
    took = []
    with scene.traffic.flowing(_HEAVY_RATE):
        worker = scene.start()
        scene.await_scores()
        for _ in range(rounds):
            asked = time.monotonic()
            code = worker.end()
            took.append(time.monotonic() - asked)
            assert code == ExitCode.OK, code
            assert took[-1] < 5, took
            assert not scene.stream.has_open_commit()
            ended_ms = now_ms()
            worker = scene.start()
            scene.struck_at(ended_ms)
    scene.notes.append(
        f"at {_HEAVY_RATE} payments a second; each ended with 0, the slowest after "
        f"{max(took):.2f} s; the seconds count from its end"
    )


def gone_for_good(scene: Scene, rounds: int) -> None:
    """Nobody comes back under its name: the group has to notice, the commit to expire.

    The other worker inherits, and readers wait for what was open.
    """
    assert rounds == 1
    with scene.traffic.flowing(RATE):
        survivor = scene.start("survivor")
        survivor.await_event("partition_live", scene.stream.partitions)
        victim = scene.start("victim")
        victim.await_event("partition_live", scene.stream.partitions // 2)
        scene.await_scores()
        kept = len(survivor.events("partition_assigned"))
        kill_in_open_commit(scene.stream, victim)
        died_ms = now_ms()
        waits = sorted(scene.struck_at(died_ms))
        taken_up = survivor.events("partition_assigned")[kept:]
    assert taken_up, "no partition moved"
    moved = len(taken_up)
    scene.notes.append(
        f"its {moved} partitions and their readers waited {waits[-moved]:.1f} to "
        f"{waits[-1]:.1f} s, the others at most {waits[-moved - 1]:.2f} s"
    )


def _ends_with(worker: LiveWorker, code: ExitCode) -> bool:
    """Whether it ends so by itself, or at the latest when it is asked to."""
    assert worker.process.poll() is None, "a fenced worker waits before it ends"
    return worker.end(signal.SIGTERM) == code


FAULTS = (
    Fault(
        name="kill",
        title="kill -9 in an open commit, restarted",
        play=kill_in_open_commits,
        rounds=20,
        quick_rounds=3,
    ),
    Fault(
        name="same-name",
        title="two workers of the same name",
        play=two_of_one_name,
        rounds=3,
    ),
    Fault(
        name="sigterm",
        title="SIGTERM under load, restarted",
        play=sigterm,
        rounds=3,
        quick_rounds=2,
    ),
)

LAST_FAULTS = (
    Fault(
        name="gone-for-good",
        title="killed in an open commit, never back",
        play=gone_for_good,
        rounds=1,
    ),
)
