"""Records of several inputs leave in the order of event time, and none is lost."""

from __future__ import annotations

from collections.abc import Collection
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transform_builders import everything
from worker.features import FeatureTransform
from worker.loop import between
from worker.loop.aligning import Aligning
from worker.loop.alignment import CROWDED, FEW, SPARSE, Alignment, Surroundings
from worker.loop.between import ANSWER_SECONDS, SILENCE_SECONDS
from worker.pipeline import PartitionState
from worker.records import MISSING, RecordBatch, TopicPartition

STEP_MS = 10

#: What an alignment never looks at.
STATE = FeatureTransform(everything()).new_state(max_keys=10, max_events=10)

LABELS = TopicPartition("labels", 0)
A, B = TopicPartition("transactions", 0), TopicPartition("transactions", 1)
INNER, INNER_B, INNER_C = (TopicPartition("inner", n) for n in range(3))


class Numbers:
    """Times as they stand in the values."""

    def read(self, values: list[bytes | None], _: list[int]) -> np.ndarray:
        return np.array([int(v) if v else MISSING for v in values], np.int64)


class Bench:
    """An alignment, and what it is told about its surroundings."""

    def __init__(self, *places: TopicPartition):
        self.now = 0.0
        self.ended: set[TopicPartition] = set()
        self.ignored: set[TopicPartition] = set()
        self.partitions = {
            place: PartitionState(place, epoch=1, state=STATE)
            for place in (LABELS, A, B, INNER, INNER_B, INNER_C)
        }
        times = {"labels": Numbers(), "transactions": Numbers()}
        around = Surroundings(
            self.partitions, self._ended, self, self.ignored, lambda: self.now
        )
        inner_times = {"inner": Numbers()}
        aligning = Aligning(times, inner_times, STEP_MS, 2 * STEP_MS, 2, lambda _: {})
        self.alignment = Alignment(aligning, around)
        inner = INNER, INNER_B, INNER_C
        self.alignment.begin(dict.fromkeys([*places, *inner]))
        self._offsets = dict.fromkeys(self.partitions, 0)
        self.written: dict[TopicPartition, int] = {}
        self.is_silent = False
        self.questions = 0

    def positions(self) -> dict[TopicPartition, int]:
        return self._offsets

    def read(self, place: TopicPartition) -> int:
        """How many records of a partition were added."""
        return self._offsets[place]

    def written_until(
        self, places: Collection[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """As far as was written, if more than was read."""
        self.questions += 1
        if self.is_silent:
            return {}
        read = self._offsets
        return {p: max(read[p], self.written.get(p, 0)) for p in places}

    def _ended(self) -> Collection[TopicPartition]:
        return self.ended

    def add(self, place: TopicPartition, *times: int | None) -> None:
        first = self._offsets[place]
        self._offsets[place] += len(times)
        self.alignment.add(
            RecordBatch(
                [place.topic] * len(times),
                [place.partition] * len(times),
                list(range(first, first + len(times))),
                [0] * len(times),
                [None] * len(times),
                [None if t is None else b"%d" % t for t in times],
            )
        )

    def take(self, count: int = 1000) -> list[tuple[TopicPartition, int]]:
        """What leaves, in the order in which what follows from it is produced."""
        batch = self.alignment.take(count)
        places = map(TopicPartition, batch.topics, batch.partitions)
        rows = list(zip(places, batch.offsets, strict=True))
        if batch.ranks is None:
            return rows
        return [rows[i] for i in np.argsort(batch.ranks, kind="stable").tolist()]


def test_what_is_between_stages_passes_at_once() -> None:
    bench = Bench(A, B)
    bench.add(A, 5)
    bench.add(INNER, 1000, 7)

    assert bench.take() == [(INNER, 0), (INNER, 1)]
    assert len(bench.alignment) == 1


def test_what_is_only_replayed_passes_at_once() -> None:
    bench = Bench(A, B)
    bench.partitions[A].live_from = 2
    bench.add(A, 5, 6, 7)

    assert bench.take() == [(A, 0), (A, 1)]


def test_nothing_leaves_before_all_inputs_have_shown_where_they_are() -> None:
    bench = Bench(A, B)
    bench.add(A, 5)
    assert bench.take() == []

    bench.add(B, 500)

    assert bench.take() == [(A, 0)]
    bench.ended.add(A)
    assert bench.take() == [(B, 0)]


def test_an_input_without_records_is_waited_for_one_step() -> None:
    bench = Bench(A, B)
    bench.add(A, 0, 9, 12, 14, 30)
    bench.add(B, 3)

    assert sorted(bench.take()) == [(A, 0), (A, 1), (A, 2), (B, 0)]
    bench.ended.add(B)
    assert bench.take() == [(A, 3), (A, 4)]


def test_one_that_stands_still_is_not_waited_for() -> None:
    bench = Bench(A, B)
    bench.ignored.add(B)
    bench.add(A, 0, 100)

    assert bench.take() == [(A, 0), (A, 1)]


def test_one_that_was_read_up_to_a_time_holds_the_others_there() -> None:
    bench = Bench()
    bench.alignment.begin({A: 1000, B: 100})
    bench.add(A, 1001)

    assert bench.take() == []
    bench.add(B, 995)
    assert sorted(bench.take()) == [(A, 0), (B, 0)]


def test_steps_leave_one_after_the_other_and_labels_first() -> None:
    bench = Bench(LABELS, A, B)
    bench.ended.update((LABELS, A, B))
    bench.add(A, 1, 12, 23)
    bench.add(B, 2, 11, 24)
    bench.add(LABELS, 9, 19, 29)

    assert bench.take() == [
        *((LABELS, 0), (A, 0), (B, 0)),
        *((LABELS, 1), (A, 1), (B, 1)),
        *((LABELS, 2), (A, 2), (B, 2)),
    ]


def test_what_moves_on_takes_its_records_along() -> None:
    bench = Bench(A, B)
    bench.add(A, 0, 1)
    bench.add(INNER, 1)
    bench.alignment.drop([B, INNER])

    assert bench.take() == [(A, 0), (A, 1)]


def test_a_late_record_and_one_without_time_keep_their_place() -> None:
    bench = Bench(A, B)
    bench.ended.update((A, B))
    bench.add(A, 50, 3, None, 60)
    bench.add(B, 51)

    produced = bench.take()

    assert [offset for place, offset in produced if place == A] == [0, 1, 2, 3]
    assert produced.index((B, 0)) < produced.index((A, 3))


def test_a_partition_is_crowded_and_sparse_by_what_waits() -> None:
    bench = Bench(A, B)
    bench.add(A, *[5] * (CROWDED + 1))

    assert bench.alignment.crowded() == [A]
    assert bench.alignment.sparse([A]) == []
    bench.ended.add(B)
    assert len(bench.take(CROWDED - SPARSE + 2)) == CROWDED - SPARSE + 2
    assert bench.alignment.crowded() == []
    assert bench.alignment.sparse([A]) == [A]
    bench.ignored.add(A)
    assert bench.alignment.sparse([A]) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from([LABELS, A, B, INNER]),
            st.lists(st.integers(0, 200), max_size=8),
            st.integers(0, 12),
        ),
        max_size=12,
    )
)
def test_all_leave_once_in_their_order_and_never_far_apart(
    arrivals: list[tuple[TopicPartition, list[int], int]],
) -> None:
    bench = Bench(LABELS, A, B)
    times: dict[TopicPartition, list[int]] = {p: [] for p in bench.partitions}
    left: list[tuple[TopicPartition, int]] = []
    for place, more, room in arrivals:
        latest = times[place][-1] if times[place] else 0
        rising = [latest + t for t in sorted(more)]
        times[place] += rising
        bench.add(place, *rising)
        left += bench.take(room)
    bench.ended.update((LABELS, A, B))
    while more_left := bench.take(7):
        left += more_left

    for place, of_place in times.items():
        assert [o for p, o in left if p == place] == list(range(len(of_place)))
    inputs = [times[p][o] for p, o in left if p != INNER]
    behind = np.maximum.accumulate(np.array(inputs, np.int64)) - inputs
    assert all(behind <= 2 * STEP_MS)


def test_what_is_between_stages_leaves_alone_while_little_waits() -> None:
    bench = Bench(A)
    bench.add(A, 4)
    assert bench.take() == [(A, 0)]
    bench.add(A, 5)
    bench.add(INNER, 1, 2)

    assert bench.take() == [(INNER, 0), (INNER, 1)]
    assert not bench.alignment.has_handed_on
    assert bench.take() == [(A, 1)]
    assert bench.alignment.has_handed_on


def test_inputs_do_not_wait_for_an_end_of_what_others_hand_on() -> None:
    bench = Bench(A)
    bench.add(A, 4)
    bench.take()
    bench.add(A, 5)
    bench.add(INNER, 1)
    assert bench.take() == [(INNER, 0)]
    bench.add(INNER, 2)

    assert set(bench.take()) == {(INNER, 1), (A, 1)}


def test_in_bulk_all_leaves_together() -> None:
    bench = Bench(A)
    bench.add(A, *[5] * FEW)
    bench.add(INNER, 1)

    assert len(bench.take(2 * FEW)) == FEW + 1


def test_what_is_written_between_stages_is_waited_for() -> None:
    """A commit becomes visible partition by partition."""
    bench = Bench()
    bench.written[INNER_B] = 3
    bench.add(INNER, 100, 200, 300)
    assert bench.take() == []

    bench.add(INNER_B, 150)
    assert bench.take() == [(INNER, 0), (INNER_B, 0)]
    bench.add(INNER_B, 250, 350)

    assert bench.take() == [(INNER, 1), (INNER_B, 1), (INNER, 2)]
    assert bench.questions == 1
    assert bench.take() == [(INNER_B, 2)]


def test_inputs_wait_while_what_they_were_handed_on_to_is_out_of_order() -> None:
    bench = Bench(A)
    bench.add(A, 1000)
    bench.written[INNER_B] = 1
    bench.add(INNER, 100)
    assert bench.take() == []

    bench.add(INNER_B, 90)

    assert bench.take() == [(INNER_B, 0), (INNER, 0), (A, 0)]


def test_nobody_is_asked_while_records_come_as_they_are_written() -> None:
    bench = Bench()
    bench.add(INNER, 1000)
    assert bench.take() == [(INNER, 0)]
    assert bench.questions == 1, "nobody knows yet how far the other one is"

    for time in range(1000, 1000 + STEP_MS):
        bench.add(INNER, time)
        assert len(bench.take()) == 1
    assert bench.questions == 1
    bench.add(INNER, 1000 + 2 * STEP_MS)
    assert len(bench.take()) == 1
    assert bench.questions == 2


def test_without_an_answer_nothing_leaves_that_may_be_too_early() -> None:
    bench = Bench()
    bench.is_silent = True
    bench.add(INNER, 100)
    bench.add(INNER_B, 90, 95)
    bench.add(INNER_C, 95)
    assert bench.take() == [(INNER_B, 0), (INNER_B, 1), (INNER_C, 0), (INNER, 0)]
    bench.add(INNER, 200)
    assert bench.take() == []
    assert bench.take() == []
    assert bench.questions == 1, "a question may take a second"

    bench.is_silent = False
    bench.now += SILENCE_SECONDS

    assert bench.take() == [(INNER, 1)]


def test_a_partition_that_has_moved_on_is_not_waited_for() -> None:
    bench = Bench()
    bench.written[INNER_B] = 3
    bench.add(INNER, 100)
    assert bench.take() == []

    bench.alignment.drop([INNER_B])

    assert bench.take() == [(INNER, 0)]


def test_an_end_that_was_lost_with_its_broker_is_asked_for_again() -> None:
    bench = Bench()
    bench.written[INNER_B] = 3
    bench.add(INNER, 100)
    assert bench.take() == []
    bench.written.clear()
    assert bench.take() == []

    bench.now += ANSWER_SECONDS

    assert bench.take() == [(INNER, 0)]


def test_nobody_waits_for_what_was_written_since_it_was_asked() -> None:
    """Others may go on writing, all the time."""
    bench = Bench()
    bench.written[INNER_B] = 1
    bench.add(INNER, 500)
    assert bench.take() == []
    bench.add(INNER_B, 100)
    bench.written[INNER_B] = 3

    assert bench.take() == [(INNER_B, 0), (INNER, 0)]
    assert bench.questions == 1


def test_an_answer_holds_for_nothing_that_came_later() -> None:
    bench = Bench()
    bench.written[INNER_B] = 1
    bench.add(INNER, 500)
    assert bench.take() == []
    bench.add(INNER, 5000)
    bench.add(INNER_B, 100)
    bench.written[INNER_B] = 2

    assert bench.take() == [(INNER_B, 0), (INNER, 0)]
    assert bench.take() == []
    bench.add(INNER_B, 1000)
    assert bench.take() == [(INNER_B, 1), (INNER, 1)]


def test_without_room_nobody_is_asked() -> None:
    bench = Bench()
    bench.add(INNER, 100, 500)

    assert bench.take(0) == []
    assert bench.questions == 0


def test_a_partition_between_stages_is_crowded_only_while_it_waits_for_long() -> None:
    bench = Bench()
    bench.written[INNER_B] = 1
    bench.add(INNER, *[5] * (between.CROWDED + 1))
    assert bench.take() == []
    assert bench.alignment.crowded() == [INNER]
    assert bench.alignment.sparse([INNER]) == []

    bench.add(INNER_B, 5)

    assert bench.alignment.waiting[INNER] == between.CROWDED + 1
    assert len(bench.take(10**6)) == between.CROWDED + 2
    assert not any(bench.alignment.waiting.values())
    assert bench.alignment.crowded() == []
    assert bench.alignment.sparse([INNER]) == [INNER]


def test_labels_keep_their_place_and_tell_nothing_of_the_time() -> None:
    bench = Bench()
    bench.add(INNER, 100, None, 101)
    bench.add(INNER_B, None, 100)

    assert sorted(bench.take()) == [
        *((INNER, 0), (INNER, 1), (INNER, 2)),
        *((INNER_B, 0), (INNER_B, 1)),
    ]


#: Records of a commit: how much later each is than the one before, and where it goes.
COMMITS = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 5, 300]), st.sampled_from([INNER, INNER_B, INNER_C])
        ),
        min_size=1,
        max_size=12,
    ),
    max_size=6,
)


@settings(max_examples=300)
@given(COMMITS, st.randoms(use_true_random=False))
def test_what_is_handed_on_in_order_stays_so_however_it_is_fetched(
    commits: list[list[tuple[int, TopicPartition]]], chance: Random
) -> None:
    """By one worker, which hands on more only when nothing waits between stages."""
    bench = Bench()
    logs: dict[TopicPartition, list[int]] = {p: [] for p in bench.partitions}
    left: list[tuple[TopicPartition, int]] = []
    coming, time, rounds = iter(commits), 0, 0
    while len(left) < sum(map(len, commits)):
        rounds += 1
        assert rounds < 2000, "something waits for ever"
        if not len(bench.alignment) and chance.random() < 0.3:
            for gap, place in next(coming, []):
                time += gap
                logs[place].append(time)
            bench.written = {place: len(log) for place, log in logs.items()}
        for place, log in logs.items():
            read = bench.read(place)
            if more := log[read : read + chance.randrange(6)]:
                bench.add(place, *more)
        left += bench.take(chance.choice([3, 1000]))

    for place, log in logs.items():
        assert [o for p, o in left if p == place] == list(range(len(log)))
    times = [logs[p][o] for p, o in left]
    behind = np.maximum.accumulate(np.array(times, np.int64)) - times
    assert all(behind <= 2 * STEP_MS)
