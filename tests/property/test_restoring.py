"""However a restore is interrupted, the features are those of one uninterrupted fold.

log      a b c d | e f | g h ...
worker   [answered] x  (slices, polls, losses, returns, in any order) ...
"""

from __future__ import annotations

import itertools
import tempfile
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

partitions = st.integers(0, PARTITIONS - 1)
actions = st.one_of(
    st.tuples(st.just("write"), partitions, st.integers(1, 4)),
    st.tuples(st.just("run"), st.just(0), st.integers(1, 2)),
    st.tuples(st.just("allow"), st.just(0), st.integers(1, 5)),
    st.tuples(st.just("snapshot"), st.just(0), st.just(0)),
    st.tuples(st.just("lose"), partitions, st.just(0)),
    st.tuples(st.just("abort"), st.just(0), st.integers(1, 2)),
    st.tuples(st.just("restart"), st.just(0), st.just(0)),
    st.tuples(st.just("spoil"), st.just(0), st.just(0)),
    st.tuples(st.just("second"), st.just(0), st.just(0)),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return small_model(tmp_path_factory.mktemp("models"))


class Life:
    """What the actions do to a group of at most two workers."""

    def __init__(self, succession: Succession):
        self.succession = succession
        self.names = itertools.count()
        self.workers = [self._start()]

    def act(self, kind: str, partition: int, count: int) -> None:
        first = self.workers[0]
        if kind == "write":
            self.succession.write(count, partition)
        elif kind == "run":
            for worker in self.workers:
                worker.run(count)
        elif kind == "allow":
            for worker in self.workers:
                worker.reads.allowed += count
        elif kind == "snapshot":
            first.take_snapshots()
        elif kind == "lose":
            place = TopicPartition(INPUT, partition)
            if first.consumer.owns(place):
                self.succession.broker.take_away(first.consumer, [place])
        elif kind == "abort":
            first.producer.script.extend(["abort"] * count)
        elif kind == "restart":
            self._close(first)
            self.workers.append(self._start())
        elif kind == "spoil":
            for path in self.succession.snapshots()[-1:]:
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        elif len(self.workers) == 1:
            self.workers.append(self._start())
        else:
            self._close(first)

    def finish(self) -> None:
        """Let everything end that has begun."""
        for _ in range(4):
            for worker in self.workers:
                worker.finish()

    def _start(self) -> Running:
        return self.succession.start(str(next(self.names)))

    def _close(self, worker: Running) -> None:
        worker.consumer.close()
        self.workers.remove(worker)


@given(st.lists(actions, max_size=25))
@settings(max_examples=150, deadline=None)
def test_no_interruption_of_a_restore_changes_an_answer(
    model: LoadedModel, todo: list[tuple[str, int, int]]
) -> None:
    """The answers carry a digest of their features."""
    with tempfile.TemporaryDirectory() as directory:
        succession = Succession(model, Path(directory), PARTITIONS)
        life = Life(succession)
        # There is always something to be restored.
        for step in [
            ("write", 0, 5),
            ("write", 1, 5),
            ("run", 0, 2),
            ("snapshot", 0, 0),
        ]:
            life.act(*step)
        for step in todo:
            life.act(*step)
        life.finish()

        alone = Succession(model, Path(directory) / "alone", PARTITIONS)
        alone.broker._logs.update(
            {p: log for p, log in succession.broker._logs.items() if p.topic == INPUT}
        )
        alone.start().finish()
        for partition in range(PARTITIONS):
            expected = [(r.value, r.headers) for r in alone.scores(partition)]
            got = [(r.value, r.headers) for r in succession.scores(partition)]
            assert got == expected
            assert len(got) == len(succession.broker.records(INPUT)[partition])
