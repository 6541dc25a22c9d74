"""Scores and labels meet as in a plain oracle, however they come, whoever dies."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.truth_builders import (
    BEGIN_MS,
    DAY_MS,
    HOUR_MS,
    SCHEMA,
    WEEK,
    Label,
    Scored,
    batch_of,
    counts,
    told_by,
    truth_of,
)
from worker.metrics import truth_catalogue as names
from worker.records import LogBounds, NextOffset, RecordBatch, TopicPartition
from worker.truth import Join, TruthLoop, TruthMetrics
from worker.truth.loop import IDLE_SECONDS
from worker.truth.memory import remembered

PARTITIONS = 3

#: Between two records, as markers of commits leave them.
GAP = 2

Record = Scored | Label | None


class Killed(Exception):
    """The process is no more."""


@dataclass
class Log:
    """A topic that grows: what of each partition has been published by now."""

    records: dict[TopicPartition, list[Record]] = field(default_factory=dict)

    def append(self, place: TopicPartition, record: Record) -> None:
        self.records[place].append(record)

    def end(self, place: TopicPartition) -> int:
        return len(self.records[place]) * GAP


class FakeFollower:
    """Reads a few records of a partition at a time, in any order of partitions."""

    def __init__(
        self, log: Log, starts: Mapping[TopicPartition, int], chance: random.Random
    ):
        self.positions = dict(starts)
        self._log = log
        self._chance = chance
        self._ended: set[TopicPartition] = set()

    @property
    def unread(self) -> set[TopicPartition]:
        return set(self.positions) - self._ended

    def ends_are(self, ends: Mapping[TopicPartition, int]) -> None:
        self._ended -= {p for p, end in ends.items() if end > self.positions[p]}

    def poll(self, *_: float) -> dict[TopicPartition, RecordBatch]:
        found = {}
        for place in self._chance.sample(sorted(self.positions), 2):
            first = -(-self.positions[place] // GAP)
            records = self._log.records[place][first:][: self._chance.randrange(1, 9)]
            if records:
                offsets = [(first + i) * GAP for i in range(len(records))]
                values = [b"broken" if r is None else r.value for r in records]
                found[place] = batch_of(place, offsets, values)
                self.positions[place] = offsets[-1] + 1
                self._ended.discard(place)
            else:
                # The client tells of the end later than it is reached, or not at all
                # before something new is there.
                self.positions[place] = max(self.positions[place], self._log.end(place))
                self._ended.add(place)
        return found


@dataclass
class World:
    """A stream, its readers one after the other, and what they have shown."""

    chance: random.Random
    log: Log = field(default_factory=Log)
    committed: dict[TopicPartition, NextOffset] = field(default_factory=dict)
    kill: float = 0.0
    shown: float = 0.0
    now: float = 0.0

    def __post_init__(self) -> None:
        self.scores = [TopicPartition("scores", p) for p in range(PARTITIONS)]
        self.labels = [TopicPartition("labels", p) for p in range(PARTITIONS)]
        self.log.records = {place: [] for place in self.scores + self.labels}

    def begin(self) -> None:
        """Start a process from what was committed."""
        bounds = {p: LogBounds(0, self.log.end(p), None) for p in self.log.records}
        memory = remembered({p: self.committed.get(p) for p in bounds}, bounds)
        at = {p: of.position for p, of in memory.places.items()}
        self.join = Join(
            SCHEMA,
            WEEK,
            {p: at[p] for p in self.scores},
            {p: at[p] for p in self.labels},
            memory.tally,
        )
        starts = {p: of.needed for p, of in memory.places.items()}
        self.metrics = TruthMetrics("m", lambda _: {})
        self.metrics.show(memory.tally)
        self.look()
        self.reader = FakeFollower(self.log, starts, self.chance)
        self.loop = TruthLoop(
            self.join,
            self.reader,
            self.metrics,
            ends=self._ends,
            commit=self._commit,
            clock=self._clock,
        )

    def step(self) -> None:
        """One iteration; a process that dies, or is told to stop, has a successor."""
        try:
            self.loop.run_once()
            if self.chance.random() < self.kill:
                self.loop.commit()
                raise Killed  # noqa: TRY301 - here it dies, as anywhere else
        except Killed:
            self.look()
            self.begin()
        self.look()

    def read_all(self) -> None:
        """Let the process, and whoever follows it, read to the end."""
        self.kill = 0.0
        self.reader.ends_are(self._ends(self.reader.positions))
        while not self.join.is_restored or self.reader.unread:
            self.step()
            self.reader.ends_are(self._ends(self.reader.positions))
        # On a partition without payments nothing has come for a minute then.
        self.now += IDLE_SECONDS
        self.loop.run_once()
        self.loop.commit()
        self.look()

    def look(self) -> None:
        """Scrape: a counter never falls."""
        judged = self.metrics.store.value(names.TRUTH_SCORES, "judged")
        assert judged >= self.shown
        self.shown = judged

    def _clock(self) -> float:
        """Return seconds that pass with every look at them."""
        self.now += 0.4
        return self.now

    def _ends(self, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: self.log.end(place) for place in places}

    def _commit(self, offsets: Mapping[TopicPartition, NextOffset]) -> None:
        if self.chance.random() < self.kill:
            raise Killed
        self.committed.update(offsets)
        if self.chance.random() < self.kill:
            raise Killed


def published(chance: random.Random) -> list[tuple[int, TopicPartition, Record]]:
    """Scores and labels in the order in which they are published, by partition.

    Scores come up to half a day after their event, labels up to half a day after they
    became known: some before the score, some too late, some twice, some taken back.
    """
    found: list[tuple[int, TopicPartition, Record]] = []
    for number in range(chance.randrange(1, 120)):
        time_ms = BEGIN_MS + chance.randrange(14 * DAY_MS)
        score = round(chance.random() ** 4, 9)
        kinds = {"version": chance.choice("mmn"), "is_control": chance.random() < 0.1}
        scored = Scored(f"t{number}", time_ms, score, score > 0.5, **kinds)  # type: ignore[arg-type]
        partition = number % (PARTITIONS - 1)
        place = TopicPartition("scores", partition)
        found.append((time_ms + chance.randrange(DAY_MS // 2), place, scored))
        if chance.random() < 0.1:
            again = scored._replace(is_duplicate=chance.random() < 0.5, score=0.25)
            found.append((found[-1][0] + 1, place, again))
        place = TopicPartition("labels", partition)
        while chance.random() < 0.4:
            days = chance.choice([-0.2, 0, 1, 6.9, 7, 7, 7.1, 9])
            known_ms = time_ms + round(days * DAY_MS)
            is_fraud = chance.random() < 0.8
            identity = "nobody" if chance.random() < 0.1 else scored.id
            label = Label(identity, time_ms, is_fraud, known_ms)
            found.append((known_ms + chance.randrange(DAY_MS // 2), place, label))
        if chance.random() < 0.05:
            found.append((found[-1][0], place, None))
    end_ms = BEGIN_MS + chance.randrange(30 * DAY_MS)
    last = Scored("last", end_ms, 0.1, is_flagged=False)
    found.append((end_ms, TopicPartition("scores", 0), last))
    return sorted(found, key=lambda each: each[:2])


def in_order(records: list[tuple[int, TopicPartition, Record]], kind: type) -> list:  # type: ignore[type-arg]
    return [record for _, _, record in records if isinstance(record, kind)]


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.booleans(), st.sampled_from([0.0, 0.1]))
def test_what_is_counted_is_what_is_true(seed: int, is_live: bool, kill: float) -> None:
    """Over a backlog or live, killed before and after commits or never."""
    chance = random.Random(seed)
    world, records = World(chance, kill=kill), published(chance)
    for _, place, record in [] if is_live else records:
        world.log.append(place, record)
    world.begin()
    for _, place, record in records if is_live else []:
        world.log.append(place, record)
        world.step()
    for _ in range(chance.randrange(200)):
        world.step()
    world.read_all()

    tally = world.join.tally
    greatest = max(s.time_ms for s in in_order(records, Scored))
    until_ms = (greatest - WEEK.total_ms) // HOUR_MS * HOUR_MS
    expected = truth_of(
        in_order(records, Scored), in_order(records, Label), until_ms=until_ms
    )
    assert tally.judged_until_ms == until_ms
    assert counts(told_by(tally)) == counts(expected)
    assert world.shown == tally.scores["judged"] == len(expected.scores)
    broken = [place.topic for _, place, record in records if record is None]
    assert tally.unmatched["malformed"] == broken.count("labels")
    assert_every_record_is_accounted_for(world, records)


def assert_every_record_is_accounted_for(
    world: World, records: list[tuple[int, TopicPartition, Record]]
) -> None:
    tally, join = world.join.tally, world.join
    scores, labels = in_order(records, Scored), in_order(records, Label)
    assert sum(tally.scores.values()) + join.waiting_payments == len(scores)
    settled = int(tally.matched.sum()) + sum(tally.unmatched.values())
    settled += tally.late_labels + join.waiting_labels
    broken = sum(record is None for _, _, record in records)
    assert settled == len(labels) + broken
    too_late = sum(x.known_ms - x.time_ms > WEEK.label_ms for x in labels)
    assert tally.late_labels == too_late
