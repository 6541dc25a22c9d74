"""Faults of the group: members asleep, joining, leaving, replaced one by one."""

from __future__ import annotations

import signal
from collections import Counter
from statistics import median

from tests.faults.fault import Fault
from tests.faults.scene import RATE, Scene
from tests.faults.watch import PATIENCE_SECONDS, now_ms
from tests.live import LiveWorker, freeze_in_open_commit, kill_in_open_commit
from tests.waiting import wait_until
from worker.errors import ExitCode

#: After so long an open commit that nobody ends is aborted; the broker looks that
#: often for such, seconds.
_SHORT_COMMIT_SECONDS = 10
_EXPIRY_SECONDS = 10

#: What a start may take on a busy machine, seconds.
_START_SECONDS = 20

#: The shortest session that a broker allows; the group notices a silence after it.
SHORT_SESSION = {
    "FRAUD_STATIC": "false",
    "FRAUD_KAFKA_SESSION_TIMEOUT_MS": "6000",
    # What the sleeper leaves open is aborted, rather than awaited for a minute.
    "FRAUD_KAFKA_TRANSACTION_TIMEOUT_MS": str(1000 * _SHORT_COMMIT_SECONDS),
    "FRAUD_KAFKA_SOCKET_TIMEOUT_MS": "9000",
}


def sleeper(scene: Scene, rounds: int) -> None:
    """It sleeps in an open commit until its partitions live elsewhere, and wakes."""
    with scene.traffic.flowing(RATE):
        other = scene.start("other")
        other.await_event("partition_live", scene.stream.partitions)
        for _ in range(rounds):
            victim, live_before = _join(scene, "victim")
            _await_more(victim, live_before)
            scene.await_scores()
            live_before = len(_live(other))
            freeze_in_open_commit(scene.stream, victim)
            slept_ms, before = now_ms(), _noticed(victim)
            _await_more(other, live_before)
            scene.struck_at(slept_ms)
            victim.send(signal.SIGCONT)
            scene.notes.append(f"the sleeper {_wakes(victim, before)}")
            scene.await_scores()


def other_name(scene: Scene, rounds: int) -> None:
    """Killed in an open commit; nobody with its name comes to close it.

    The commit has to expire, and the broker looks for such every ten seconds.
    """
    waits = []
    with scene.traffic.flowing(RATE):
        worker = scene.start("first")
        scene.await_scores()
        for turn in range(rounds):
            kill_in_open_commit(scene.stream, worker)
            died_ms = now_ms()
            worker = scene.start(f"successor-{turn}")
            waits += scene.struck_at(died_ms)
    longest = _SHORT_COMMIT_SECONDS + _EXPIRY_SECONDS + _START_SECONDS
    assert max(waits) < longest, f"{max(waits):.1f} s; {longest:g} s were allowed"
    scene.notes.append(
        f"commits expired after {_SHORT_COMMIT_SECONDS} s here; the default is 60 s"
    )


def scale(scene: Scene, rounds: int) -> None:
    """One worker, two, three, two, one; the silence of each partition is taken."""
    moved: list[float] = []
    stayed: list[float] = []

    def take_silences(began_ms: int, before: Counter[int]) -> None:
        """Tell those of the partitions that somebody took up from the others."""
        scene.await_scores()
        taken_up = _taken_up(scene) - before
        silences = scene.watch.silences(began_ms, now_ms())
        scene.seconds += silences
        for partition, seconds in enumerate(silences):
            (moved if taken_up[partition] else stayed).append(seconds)

    with scene.traffic.flowing(RATE):
        first = scene.start("0")
        first.await_event("partition_live", scene.stream.partitions)
        scene.await_scores()
        for _ in range(rounds):
            revoked = len(first.events("partitions_revoked"))
            joined = []
            for name in ("1", "2"):
                began_ms, before = now_ms(), _taken_up(scene)
                worker, live_before = _join(scene, name)
                _await_more(worker, live_before)
                joined.append(worker)
                take_silences(began_ms, before)
            assert len(first.events("partitions_revoked")) > revoked
            for worker in reversed(joined):
                began_ms, before = now_ms(), _taken_up(scene)
                assert worker.end() == ExitCode.OK
                take_silences(began_ms, before)
            scene.struck += 1
    scene.notes.append(
        f"longest silence of a partition that moved {max(moved):.2f} s (median "
        f"{median(moved):.2f}), of one that stayed {max(stayed):.2f} s (median "
        f"{median(stayed):.2f})"
    )


def _taken_up(scene: Scene) -> Counter[int]:
    """Return how often each partition was taken up, by whomever."""
    # A name that starts again has another process, and the same log.
    logs = {worker.log: worker for worker in scene.stream.workers}
    return Counter(
        int(str(event["partition"]))
        for worker in logs.values()
        for event in worker.events("partition_assigned")
    )


def rolling_restart(scene: Scene, rounds: int) -> None:
    """Two static workers, one after the other: nobody else's partitions move."""
    names = ("0", "1")
    with scene.traffic.flowing(RATE):
        workers = {name: scene.start(name) for name in names}
        for worker in workers.values():
            _await_more(worker, 0)
        scene.await_scores()
        moves = sum(len(w.events("partitions_revoked")) for w in workers.values())
        for turn in range(rounds):
            name = names[turn % 2]
            assert workers[name].end() == ExitCode.OK
            ended_ms = now_ms()
            workers[name] = scene.start(name)
            scene.struck_at(ended_ms)
        now = sum(len(w.events("partitions_revoked")) for w in workers.values())
    assert now - moves <= rounds, f"{now - moves} revocations in {rounds} restarts"
    scene.notes.append("no partition of the other worker was ever revoked")


def _join(scene: Scene, name: str) -> tuple[LiveWorker, int]:
    """Start a worker; return it, and what its predecessors have noted as live."""
    log = scene.stream.directory / f"worker-{name}.log"
    before = log.read_text().count('"partition_live"') if log.exists() else 0
    return scene.start(name), before


def _live(worker: LiveWorker) -> list[dict[str, object]]:
    return worker.events("partition_live")


def _await_more(worker: LiveWorker, count: int) -> None:
    """Wait until more partitions than that have gone live, in the worker's log."""
    wait_until(
        lambda: len(_live(worker)) > count,
        what=f"a partition live in {worker.log.name}",
        seconds=PATIENCE_SECONDS,
    )


def _noticed(worker: LiveWorker) -> dict[str, int]:
    """Return how often it, or one of its name, has found out that it had slept."""
    return {name: len(worker.events(name)) for name in ("fenced", "partitions_lost")}


def _wakes(worker: LiveWorker, before: dict[str, int]) -> str:
    """Wait until it knows that it has slept, then let it end; return which it was."""
    wait_until(
        lambda: worker.process.poll() is not None or _noticed(worker) != before,
        what="the sleeper has noticed",
        seconds=PATIENCE_SECONDS,
    )
    is_fenced = _noticed(worker)["fenced"] > before["fenced"]
    code = worker.end() if worker.process.poll() is None else worker.wait()
    if is_fenced:
        assert code == ExitCode.FENCED, code
        return f"was fenced and ended with {code}"
    assert code == ExitCode.OK, code
    return "gave its partitions up, and joined again"


FAULTS = (
    Fault(
        name="sleeper",
        title="SIGSTOP in an open commit, beyond the session",
        play=sleeper,
        rounds=2,
        settings=SHORT_SESSION,
    ),
    Fault(
        name="other-name",
        title="kill -9 in an open commit, restarted as another",
        play=other_name,
        rounds=2,
        settings=SHORT_SESSION,
    ),
    Fault(
        name="scale",
        title="scaled from 1 to 2 to 3 to 2 to 1 workers",
        play=scale,
        rounds=3,
        partitions=6,
        settings={"FRAUD_STATIC": "false"},
    ),
    Fault(
        name="rolling",
        title="rolling restart of two static workers",
        play=rolling_restart,
        rounds=4,
        quick_rounds=2,
    ),
)
