"""Workers killed at random moments while others join and leave."""

from __future__ import annotations

import itertools
import random
import signal

from tests.faults.fault import Fault
from tests.faults.groups import SHORT_SESSION
from tests.faults.scene import RATE, Scene
from tests.faults.watch import now_ms, wait_for
from tests.live import LiveWorker
from worker.errors import ExitCode

#: How many workers there are, in turn; each change is a rebalance.
_SIZES = (1, 2, 3, 2)

#: Kills before the number of workers changes.
_KILLS_EACH = 2

#: Between two kills, at most: some then fall into the recovery from the one before.
_LONGEST_CALM_MS = 3000


def random_kills(scene: Scene, rounds: int) -> None:
    """Each kill strikes one of those that run, whatever it is doing."""
    storm = _Storm(scene)
    sizes = itertools.cycle(size for size in _SIZES for _ in range(_KILLS_EACH))
    with scene.traffic.flowing(2 * RATE):
        for turn, size in zip(range(rounds), sizes, strict=False):
            storm.resize(size)
            storm.kill_one()
            # After every other kill nobody waits: the next may come too early.
            if turn % 2:
                scene.struck_at(now_ms())
            else:
                scene.struck += 1
        scene.await_scores()
    moves = storm.moves()
    assert moves > rounds // 5, f"only {moves} partitions were given up"
    scene.notes.append(
        f"between 1, 2 and 3 workers; {storm.in_open_commit} kills with a commit open, "
        f"{moves} rebalances took partitions from a worker; the seconds count from a "
        "restart, and include the session of the dead"
    )


class _Storm:
    """The workers that run, by name; each dead one is started again at once."""

    def __init__(self, scene: Scene):
        self._scene = scene
        self._chance = random.Random(1)
        self._running: dict[str, LiveWorker] = {}
        self.in_open_commit = 0

    def resize(self, size: int) -> None:
        """Let workers join, or leave in good order, until there are so many."""
        for name in map(str, range(3)):
            if int(name) < size and name not in self._running:
                self._running[name] = self._scene.start(name)
            elif int(name) >= size and name in self._running:
                leaving = self._running.pop(name)
                assert leaving.end(signal.SIGTERM) == ExitCode.OK

    def kill_one(self) -> None:
        """Kill one at a moment drawn by chance, as soon as it has ever worked."""
        name = self._chance.choice(sorted(self._running))
        victim = self._running[name]
        victim.await_event("started", 1)
        wait_for(now_ms() + self._chance.randrange(_LONGEST_CALM_MS))
        assert victim.process.poll() is None, f"{name} had ended before it was killed"
        victim.kill()
        self.in_open_commit += self._scene.stream.has_left_open()
        self._running[name] = self._scene.start(name)

    def moves(self) -> int:
        """Return how often partitions were taken from a worker that lived."""
        logs = {worker.log: worker for worker in self._scene.stream.workers}
        return sum(len(w.events("partitions_revoked")) for w in logs.values())


FAULTS = (
    Fault(
        name="storm",
        title="kill -9 at random, 1 to 3 workers, rebalances",
        play=random_kills,
        rounds=20,
        quick_rounds=10,
        partitions=6,
        settings=SHORT_SESSION,
    ),
)
