"""Workers that align their inputs by each other's commits never wait for ever."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.transform_builders import everything
from worker.features import FeatureTransform
from worker.loop.aligning import Aligning
from worker.loop.alignment import Alignment, Surroundings
from worker.loop.inputs import END_SECONDS, LOOK_SECONDS, Aligned
from worker.pipeline import PartitionState
from worker.records import NextOffset, RecordBatch, TopicPartition
from worker.recovery import CommitMetadata

STEP_MS, SLACK_MS = 10, 40

#: What an alignment never looks at.
STATE = FeatureTransform(everything()).new_state(max_keys=10, max_events=10)

Committed = dict[TopicPartition, NextOffset | None]


class Numbers:
    """Times as they stand in the values."""

    def read(self, values: list[bytes | None], _: list[int]) -> np.ndarray:
        return np.array([int(value or b"0") for value in values], np.int64)


class Log:
    """The records of one partition by their times."""

    def __init__(self, place: TopicPartition, times: Sequence[int]):
        self.place = place
        self.times = times


class Member:
    """A worker as far as its inputs go: it polls, takes, and commits heads."""

    def __init__(self, logs: Sequence[Log], count: int, committed: Committed):
        self.now = 0.0
        self._committed = committed
        self._logs = {log.place: log for log in logs}
        self._read = dict.fromkeys(self._logs, 0)
        partitions = {p: PartitionState(p, epoch=1, state=STATE) for p in self._logs}
        aligning = Aligning(
            {"transactions": Numbers()},
            {},
            STEP_MS,
            SLACK_MS,
            count,
            lambda places: {place: committed[place] for place in places},
        )
        around = Surroundings(partitions, self._ended, self, (), lambda: self.now)
        alignment = Alignment(aligning, around)
        self._inputs = Aligned(aligning, alignment, self, lambda: self.now)  # type: ignore[arg-type]
        self._inputs.begin({place: committed[place] for place in self._logs})

    def step(self, polled: int, taken: int) -> list[int]:
        """One iteration; return the times of what was handed on."""
        self.now += max(LOOK_SECONDS, END_SECONDS)
        for place, log in self._logs.items():
            first = self._read[place]
            last = min(first + polled, len(log.times))
            self._read[place] = last
            self._inputs.add(_records(log, first, last))
        batch = self._inputs.take(taken)
        places = set(map(TopicPartition, batch.topics, batch.partitions))
        for place in places | set(self._inputs.to_be_told()):
            head_ms = self._inputs.head_of(place)
            text = CommitMetadata(None, 0, 0, head_ms=head_ms).encode()
            self._committed[place] = NextOffset(0, text)
        times = np.array([int(value or b"0") for value in batch.values], np.int64)
        if batch.ranks is not None:
            times = times[np.argsort(batch.ranks, kind="stable")]
        handed_on: list[int] = times.tolist()
        return handed_on

    @property
    def is_done(self) -> bool:
        return self._ended() == self._logs.keys() and not len(self._inputs)

    def _ended(self) -> set[TopicPartition]:
        return {p for p, log in self._logs.items() if self._read[p] == len(log.times)}

    def positions(self) -> dict[TopicPartition, int]:
        return self._read

    def written_until(self, _: object) -> dict[TopicPartition, int]:
        return {}

    def pause(self, _: object) -> None: ...

    def resume(self, _: object) -> None: ...


def _records(log: Log, first: int, last: int) -> RecordBatch:
    count = last - first
    return RecordBatch(
        [log.place.topic] * count,
        [log.place.partition] * count,
        list(range(first, last)),
        [0] * count,
        [None] * count,
        [b"%d" % time for time in log.times[first:last]],
    )


#: With gaps wider than what workers may be apart.
TIMES = st.lists(st.integers(0, 120), max_size=12).map(
    lambda steps: np.cumsum(steps).tolist()
)


@given(
    st.lists(st.tuples(TIMES, st.integers(0, 2)), min_size=1, max_size=5),
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(1, 6)), max_size=30
    ),
)
def test_all_is_handed_on_and_nobody_runs_ahead(
    owned: list[tuple[list[int], int]], schedule: list[tuple[int, int, int]]
) -> None:
    logs = [Log(TopicPartition("transactions", n), t) for n, (t, _) in enumerate(owned)]
    committed: Committed = {
        log.place: NextOffset(0, CommitMetadata(None, 0, 0).encode()) for log in logs
    }
    owners = [owner for _, owner in owned]
    members = [
        Member(
            [log for log, o in zip(logs, owners, strict=True) if o == m],
            len(logs),
            committed,
        )
        for m in sorted(set(owners))
    ]
    handed_on: list[int] = []
    for member, polled, taken in schedule:
        handed_on += members[member % len(members)].step(polled, taken)
    rounds = 0
    while not all(member.is_done for member in members):
        rounds += 1
        assert rounds < 500, "they wait for each other"
        for each in members:
            handed_on += each.step(1, 3)

    assert sorted(handed_on) == sorted(time for log in logs for time in log.times)
    behind = np.maximum.accumulate(np.array([0, *handed_on])) - [0, *handed_on]
    assert behind.max() <= SLACK_MS + 2 * STEP_MS


def test_an_owner_that_is_gone_holds_the_others_back_until_it_returns() -> None:
    mine, other = (TopicPartition("transactions", n) for n in (0, 1))
    start = NextOffset(0, CommitMetadata(None, 0, 0).encode())
    committed: Committed = {mine: start, other: start}
    member = Member([Log(mine, [0, 30, 500])], 2, committed)
    absent = Member([Log(other, [0, 450, 460])], 2, committed)
    assert absent.step(1, 1) == []
    assert [t for _ in range(10) for t in member.step(3, 9)] == [0, 30]

    after = [t for _ in range(10) for m in (absent, member) for t in m.step(1, 9)]

    assert sorted(after) == [0, 450, 460, 500]
