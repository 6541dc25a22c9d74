"""Faults of commits: aborted at random."""

from __future__ import annotations

import sys

from demo import child
from tests.faults.fault import Fault
from tests.faults.scene import RATE, Scene
from tests.faults.watch import PATIENCE_SECONDS, now_ms
from tests.live import LiveWorker
from tests.waiting import wait_until


def random_aborts(scene: Scene, rounds: int) -> None:
    """A third of all commits is aborted after everything in it was produced."""
    worker = OtherProgram(scene, "tests.faults.aborting")
    with scene.traffic.flowing(RATE):
        scene.await_scores()
        began_ms = now_ms()
        wait_until(
            lambda: len(worker.events("abort_injected")) >= rounds,
            what=f"{rounds} aborts",
            seconds=PATIENCE_SECONDS,
        )
        scene.await_scores()
        scene.note_silences(began_ms)
    scene.struck = len(worker.events("abort_injected"))


class OtherProgram(LiveWorker):
    """A worker's process of another program than usual, on a scene."""

    def __init__(self, scene: Scene, module: str):
        self.log = scene.stream.directory / "worker-0.log"
        self._output = self.log.open("ab")
        program = [sys.executable, "-m", module, "run"]
        env = scene.stream.env()
        self.process = child.spawn(program, errors=self._output, env=env)
        scene.stream.workers.append(self)


FAULTS = (
    Fault(
        name="aborts",
        title="a third of all commits aborted",
        play=random_aborts,
        rounds=200,
        quick_rounds=50,
    ),
)
