"""Records of several partitions, released in the order of their event times.

A stage hands on what it reads, partition by partition as the broker sends it. After an
outage that may be days of one partition before the first record of another: on the
next stage's log they would stand in that order, and be late. So records of the inputs
wait here, and leave in steps of event time; those between stages wait only for what is
already written (see `Between`), and those that are only replayed pass at once.

An input that has been read to its end is not waited for. One that has not, and of
which nothing waits, may bring a record as old as its last one at any moment: until
then the others leave at most one step ahead of that.

Source: the watermark alignment of Apache Flink (FLIP-182), by pausing sources; here a
pause is only the last resort, because it throws away what the client has fetched.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise

import numpy as np
from numpy.typing import NDArray

from worker.loop.aligning import Aligning
from worker.loop.backlog import Backlog
from worker.loop.between import Between, Logs
from worker.loop.timed_queue import Release, TimedQueue
from worker.pipeline import PartitionState
from worker.records import MISSING, RecordBatch, TopicPartition
from worker.recovery import ENDED
from worker.spans import Span, spans_of

#: Records of one partition that wait before it is paused, and before it goes on.
CROWDED, SPARSE = 20_000, 10_000

#: While less waits, records between stages leave alone. A commit takes a request for
#: each partition that it writes to, one after the other: those that hand on and those
#: that score are done sooner apart. In bulk it is the other way round.
FEW = 1000

_Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an alignment has to know about partitions, at any moment.

    Attributes
    ----------
    partitions
        Those that are read, with the first offset of each that is to be answered.
    ended
        Those that have been read to their end.
    logs
        How far they are read, and how far they go.
    ignored
        Those that stand still, and may do so for ever.
    clock
        Monotonic seconds.
    """

    partitions: Mapping[TopicPartition, PartitionState]
    ended: Callable[[], Collection[TopicPartition]]
    logs: Logs
    ignored: Collection[TopicPartition]
    clock: Callable[[], float]


class Alignment:
    """A queue like `Backlog`, that lets records out in order.

    Attributes
    ----------
    until_ms
        Nothing that is younger leaves, because of other workers.
    is_held_back
        Whether the last time something would have left but for them.
    has_handed_on
        Whether the last time inputs left: what follows from them comes back here.
    """

    def __init__(self, aligning: Aligning, surroundings: Surroundings):
        self._times = dict(aligning.times)
        self._readers = {**aligning.times, **aligning.inner_times}
        self._step_ms = aligning.step_ms
        self._around = surroundings
        self._passing = Backlog()
        # Those nearer to the scores first: what waits there is older.
        self._between = {
            topic: Between(aligning.step_ms, surroundings.logs, surroundings.clock)
            for topic in reversed(list(aligning.inner_times))
        }
        self._queues: dict[TopicPartition, TimedQueue] = {}
        self.until_ms = ENDED
        self.is_held_back = self.has_handed_on = False

    @property
    def places(self) -> Collection[TopicPartition]:
        """The partitions that are waited for here."""
        return self._queues.keys()

    @property
    def waiting(self) -> dict[TopicPartition, int]:
        """How many records wait of each partition, in order."""
        waiting = {place: len(queue) for place, queue in self._queues.items()}
        for of_topic in self._between.values():
            waiting |= of_topic.waiting
        return waiting

    def head_ms(self, place: TopicPartition) -> int | None:
        """Return what is known of a partition's next record; None if nothing is."""
        queue = self._queues.get(place)
        if queue is None:
            return None
        if len(queue):
            return queue.head_ms
        if place in self._around.ended() or place in self._around.ignored:
            return ENDED
        return None if queue.until_ms == MISSING else queue.until_ms

    def __len__(self) -> int:
        between = sum(map(len, self._between.values()))
        inputs = sum(map(len, self._queues.values()))
        return len(self._passing) + between + inputs

    def begin(self, watermarks_ms: Mapping[TopicPartition, int | None]) -> None:
        """Wait for partitions from now on; those given have been read up to there."""
        for place, watermark_ms in watermarks_ms.items():
            known = MISSING if watermark_ms is None else watermark_ms
            if place.topic in self._times:
                self._queues[place] = TimedQueue(known)
            else:
                self._between[place.topic].begin(place, known)

    def drop(self, places: Collection[TopicPartition]) -> None:
        """Forget partitions that have moved on, and their records."""
        self._passing.drop(places)
        for place in places:
            self._queues.pop(place, None)
            if place.topic in self._between:
                self._between[place.topic].drop(place)

    def add(self, records: RecordBatch) -> None:
        """Put records behind those that wait, or let them pass."""
        spans: dict[str, list[Span]] = {}
        for place, first, last in spans_of(records):
            live_from = self._around.partitions[place].live_from
            live = bisect_left(records.offsets, live_from, first, last)
            if first < live:
                self._passing.add(records.cut(slice(first, live)))
            if live < last:
                spans.setdefault(place.topic, []).append(Span(place, live, last))
        for topic, of_topic in spans.items():
            self._add_live(records, topic, of_topic)

    def _add_live(
        self, records: RecordBatch, topic: str, spans: Sequence[Span]
    ) -> None:
        """Put records to be answered, all of one topic, into their queues."""
        runs = [records.cut(slice(first, last)) for _, first, last in spans]
        times_ms = self._readers[topic].read(
            list(chain.from_iterable(run.values for run in runs)),
            list(chain.from_iterable(run.timestamps_ms for run in runs)),
        )
        edges = pairwise(accumulate(map(len, runs), initial=0))
        for (place, _, _), run, rows in zip(spans, runs, edges, strict=True):
            own_ms = times_ms[slice(*rows)]
            if place in self._queues:
                self._queues[place].add(run, own_ms)
            else:
                self._between[topic].add(place, run, own_ms)

    def take(self, max_records: int) -> RecordBatch:
        """Return records that may leave now, each partition's together.

        Where they span several steps, `ranks` tells in which order what follows from
        them is to be produced.
        """
        # Never twice in a row: others hand on all the time, and inputs would wait.
        is_alone = self.has_handed_on and len(self) < FEW
        batch = self._passing.take(max_records)
        inner_ranks = [
            _move(of_topic.take(max_records - len(batch)), batch, self._inner_ranks)
            for of_topic in self._between.values()
        ]
        passing = len(batch)
        self.has_handed_on = self.is_held_back = False
        is_blocked = passing == max_records or any(self._between.values())
        if not self._queues or is_blocked or (passing and is_alone):
            ranks = np.zeros(0, np.int64)
        else:
            leaving = self._leaving(max_records - passing)
            self.has_handed_on = bool(leaving)
            ranks = _move(leaving, batch, self._ranks)
        live = [*inner_ranks, ranks]
        if any(map(_differ, live)):
            replayed = np.full(len(batch) - sum(map(len, live)), MISSING)
            batch.ranks = np.concatenate((replayed, *live))
        return batch

    def crowded(self) -> list[TopicPartition]:
        """Return the partitions of which enough waits."""
        queues = self._queues.items()
        inputs = (place for place, queue in queues if len(queue) > CROWDED)
        inner = (of_topic.crowded() for of_topic in self._between.values())
        return [*inputs, *chain.from_iterable(inner)]

    def sparse(self, places: Collection[TopicPartition]) -> list[TopicPartition]:
        """Return those of the partitions that may go on: little of them waits."""
        inputs = (
            place
            for place, queue in self._queues.items()
            if place in places
            and len(queue) < SPARSE
            and place not in self._around.ignored
        )
        inner = (of_topic.sparse(places) for of_topic in self._between.values())
        return [*inputs, *chain.from_iterable(inner)]

    def _leaving(self, room: int) -> Mapping[TopicPartition, TimedQueue]:
        """Let records of inputs leave; return the queues of which some do."""
        topics = list(self._times)
        in_order = sorted(self._queues, key=lambda place: topics.index(place.topic))
        queues = {place: self._queues[place] for place in in_order}
        excluded = set(self._around.ended()).union(self._around.ignored)
        waited_for = {queue for p, queue in queues.items() if p not in excluded}
        release = Release(list(queues.values()), waited_for, self._step_ms)
        self.is_held_back = release.mark(room, self.until_ms)
        return {place: queue for place, queue in queues.items() if queue.has_marked}

    def _ranks(self, place: TopicPartition, times_ms: _Ints) -> _Ints:
        """Return (n,) numbers by which what follows from the records is ordered."""
        ranks: _Ints = times_ms // self._step_ms * len(self._times)
        return ranks + list(self._times).index(place.topic)

    def _inner_ranks(self, _: TopicPartition, times_ms: _Ints) -> _Ints:
        """Return the same of records between stages; inputs are handed on after all."""
        ranks: _Ints = np.maximum(times_ms, 0) // self._step_ms
        return ranks + MISSING


def _move(
    queues: Mapping[TopicPartition, TimedQueue],
    batch: RecordBatch,
    ranks_of: Callable[[TopicPartition, _Ints], _Ints],
) -> _Ints:
    """Put what leaves the queues behind a batch; return (n,) its ranks."""
    ranks = [np.zeros(0, np.int64)]
    for place, queue in queues.items():
        records, times_ms = queue.take()
        batch.extend(records)
        ranks.append(ranks_of(place, times_ms))
    return np.concatenate(ranks)


def _differ(ranks: _Ints) -> bool:
    return len(ranks) > 0 and bool(ranks.min() < ranks.max())
