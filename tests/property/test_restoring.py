"""However a restore is interrupted, the features are those of one uninterrupted fold.

log      a b c d | e f | g h ...
worker   [answered] x  (slices, polls, losses, returns, in any order) ...
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.restarts import Running, Succession
from tests.small_models import small_model
from tests.workers import INPUT
from worker.records import TopicPartition
from worker.scoring import LoadedModel

PARTITIONS = 2

Action = Callable[["Life", int], None]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return small_model(tmp_path_factory.mktemp("models"))


class Life:
    """A group of at most two workers; each action is given a small number."""

    def __init__(self, succession: Succession):
        self.succession = succession
        self._names = itertools.count()
        self.workers = [self._start()]

    def write(self, number: int) -> None:
        self.succession.write(1 + number // 2, number % PARTITIONS)

    def run(self, number: int) -> None:
        for worker in self.workers:
            worker.run(1 + number % 2)

    def allow(self, number: int) -> None:
        for worker in self.workers:
            worker.reads.allowed += number

    def snapshot(self, _: int) -> None:
        self.workers[0].take_snapshots()

    def lose(self, number: int) -> None:
        """Expire the session for a partition that comes back at once."""
        consumer = self.workers[0].consumer
        place = TopicPartition(INPUT, number % PARTITIONS)
        # What is on its way elsewhere does not come back.
        if consumer.owns(place) and not consumer.events:
            self.succession.broker.take_away(consumer, [place])

    def abort(self, number: int) -> None:
        self.workers[0].producer.script.extend(["abort"] * number)

    def restart(self, _: int) -> None:
        self._close(self.workers[0])
        self.workers.append(self._start())

    def spoil(self, _: int) -> None:
        for path in self.succession.snapshots()[-1:]:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def join_or_leave(self, _: int) -> None:
        if len(self.workers) == 1:
            self.workers.append(self._start())
        else:
            self._close(self.workers[0])

    def finish(self) -> None:
        """Let everything end that has begun."""
        for _ in range(4):
            for worker in self.workers:
                worker.finish()

    def _start(self) -> Running:
        return self.succession.start(str(next(self._names)))

    def _close(self, worker: Running) -> None:
        worker.consumer.close()
        self.workers.remove(worker)


ACTIONS: tuple[Action, ...] = (
    Life.write,
    Life.run,
    Life.allow,
    Life.snapshot,
    Life.lose,
    Life.abort,
    Life.restart,
    Life.spoil,
    Life.join_or_leave,
)

#: There is always something to be restored.
FIRST = ((Life.write, 8), (Life.write, 9), (Life.run, 1), (Life.snapshot, 0))


@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5)), max_size=25))
@settings(max_examples=100, deadline=None)
def test_no_interruption_of_a_restore_changes_an_answer(
    model: LoadedModel, todo: list[tuple[Action, int]]
) -> None:
    """The answers carry a digest of their features."""
    with tempfile.TemporaryDirectory() as directory:
        succession = Succession(model, Path(directory), PARTITIONS)
        life = Life(succession)
        for act, number in (*FIRST, *todo):
            act(life, number)
        life.finish()
        succession.close()

        alone = succession.without_interruption()
        for partition in range(PARTITIONS):
            assert succession.answers(partition) == alone.answers(partition)
            assert len(alone.answers(partition)) == succession.written_to[partition]
