"""Faults of the broker, and of the way to it."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.faults.fault import Fault
from tests.faults.proxy import COORDINATION, END_COMMIT, Harm
from tests.faults.scene import RATE, Scene
from tests.faults.supervisor import Supervisor
from tests.faults.watch import PATIENCE_SECONDS, now_ms, wait_for
from tests.waiting import wait_until

#: Longer than a request may take on the scenes with a proxy.
_HOLD_SECONDS = 2.0

#: How long coordinators cannot be reached: shorter than a session.
_AWAY_SECONDS = 30

_IMPATIENT = {"FRAUD_KAFKA_SOCKET_TIMEOUT_MS": "1000"}


def kill_broker(scene: Scene, rounds: int) -> None:
    """The same data and ports come back; the worker goes on, or is restarted."""
    kafka, down = scene.stream.kafka, []
    with scene.traffic.flowing(RATE), Supervisor(scene) as supervisor:
        scene.await_scores()
        for _ in range(rounds):
            killed = time.monotonic()
            kafka.kill()
            killed_ms = now_ms()
            kafka.start(timeout_seconds=120)
            down.append(time.monotonic() - killed)
            scene.struck_at(killed_ms)
    away = f"{min(down):.1f} to {max(down):.1f} s"
    scene.notes.append(f"the seconds include that the broker was away for {away}")
    scene.notes.append(supervisor.tell())


def late_end(scene: Scene, rounds: int) -> None:
    """The client gives up on a request that reaches the broker later (KAFKA-17754)."""
    _harm(scene, rounds, Harm.HOLD_REQUEST)


def cut_at_end(scene: Scene, rounds: int) -> None:
    """The broker has taken the commit, but nobody hears of it."""
    _harm(scene, rounds, Harm.CUT)


def cut_before_late_end(scene: Scene, rounds: int) -> None:
    """The client repeats what broke off, and the first copy arrives in the next."""
    _harm(scene, rounds, Harm.CUT_AND_HOLD)


def no_coordinator(scene: Scene, rounds: int) -> None:
    """Records can be read and written, but neither group nor commits be reached."""
    proxy = scene.proxy
    with scene.traffic.flowing(RATE), Supervisor(scene) as supervisor:
        scene.await_scores()
        for _ in range(rounds):
            away_ms = now_ms()
            back_ms = away_ms + 1000 * _AWAY_SECONDS
            proxy.refused = COORDINATION
            wait_for(back_ms)
            proxy.refused = frozenset()
            silences = scene.watch.silences(away_ms, back_ms)
            assert min(silences) > 0.9 * _AWAY_SECONDS, "somebody went on committing"
            scene.struck_at(back_ms)
    scene.notes.append(
        f"away for {_AWAY_SECONDS} s, {proxy.refusals} calls broke off; the seconds "
        f"count from its return; {supervisor.tell()}"
    )


def _harm(scene: Scene, rounds: int, harm: Harm) -> None:
    with scene.traffic.flowing(RATE), Supervisor(scene) as supervisor:
        scene.await_scores()
        for number in range(1, rounds + 1):
            scene.proxy.set_trap(END_COMMIT, harm, _HOLD_SECONDS)
            _await(number, lambda: scene.proxy.sprung, "a commit to harm")
            scene.struck_at(now_ms())
            _await(number, lambda: scene.proxy.landed, "its arrival")
            scene.await_scores()
        suspects = len(supervisor.worker.events("producer_suspect"))
    exits = supervisor.exits.total()
    assert suspects + exits >= rounds, (suspects, exits)
    scene.notes.append(f"{suspects} producers were replaced; {supervisor.tell()}")


def _await(count: int, read: Callable[[], int], what: str) -> None:
    wait_until(lambda: read() >= count, what=what, seconds=PATIENCE_SECONDS)


FAULTS = (
    Fault(
        name="broker",
        title="broker killed and restarted under load",
        play=kill_broker,
        rounds=10,
        quick_rounds=2,
        has_own_broker=True,
    ),
)

CONNECTION_FAULTS = (
    Fault(
        name="coordinator",
        title="coordinators out of reach for 30 s",
        play=no_coordinator,
        rounds=2,
        is_proxied=True,
    ),
    Fault(
        name="late-end",
        title="the end of a commit arrives 2 s late",
        play=late_end,
        rounds=5,
        quick_rounds=2,
        settings=_IMPATIENT,
        is_proxied=True,
    ),
    Fault(
        name="cut",
        title="connection cut before a commit's answer",
        play=cut_at_end,
        rounds=10,
        quick_rounds=2,
        is_proxied=True,
    ),
    Fault(
        name="cut-late",
        title="connection cut, the commit's end 2 s late",
        play=cut_before_late_end,
        rounds=8,
        quick_rounds=2,
        is_proxied=True,
    ),
)
