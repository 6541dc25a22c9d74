"""Records of several inputs, released in the order of their event times.

A stage hands on what it reads, partition by partition as the broker sends it. After an
outage that may be days of one partition before the first record of another: on the
next stage's log they would stand in that order, and be late. So records of the inputs
wait here, and leave in steps of event time; records between stages, and those that are
only replayed, pass at once.

An input that has been read to its end is not waited for. One that has not, and of
which nothing waits, may bring a record as old as its last one at any moment: until
then the others leave at most one step ahead of that.

Source: the watermark alignment of Apache Flink (FLIP-182), by pausing sources; here a
pause is only the last resort, because it throws away what the client has fetched.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.loop.aligning import Aligning
from worker.loop.backlog import Backlog
from worker.pipeline import PartitionState
from worker.records import MISSING, RecordBatch, TopicPartition
from worker.recovery import ENDED
from worker.spans import spans_of

#: Records of one partition that wait before it is paused, and before it goes on.
CROWDED, SPARSE = 20_000, 10_000

#: While less waits, records between stages leave alone. A commit takes a request for
#: each partition that it writes to, one after the other: those that hand on and those
#: that score are done sooner apart. In bulk it is the other way round.
FEW = 1000

_Ints = NDArray[np.int64]


class _Queue:
    """The records of one partition that wait, and how far it is.

    Attributes
    ----------
    until_ms
        Largest time of a record that has left, or is known to have been answered.
    """

    def __init__(self, until_ms: int):
        self.until_ms = until_ms
        self._records = RecordBatch()
        self._times_ms = np.zeros(0, np.int64)
        # Rows [first, marked) may leave; those before have left, and go in bulk.
        self._first = self._marked = 0

    def __len__(self) -> int:
        return len(self._times_ms) - self._marked

    @property
    def head_ms(self) -> int:
        """The time of the first record that waits; at least one does."""
        return int(self._times_ms[self._marked])

    def add(self, records: RecordBatch, times_ms: _Ints) -> None:
        """Put records behind those that wait; a late one counts as the one before."""
        self._forget_taken()
        latest = self._times_ms[-1] if len(self._times_ms) else self.until_ms
        rising = np.maximum.accumulate(np.concatenate(([latest], times_ms)))
        self._times_ms = np.concatenate((self._times_ms, rising[1:]))
        self._records.extend(records)

    @property
    def has_marked(self) -> bool:
        """Whether records may leave."""
        return self._marked > self._first

    def mark(self, until_ms: int, room: int) -> int:
        """Let records up to that time leave; return how many they are."""
        end = int(np.searchsorted(self._times_ms, until_ms, "right"))
        # What has left may be younger, if a partition has come since.
        end = max(self._marked, min(end, self._marked + room))
        count, self._marked = end - self._marked, end
        if count:
            self.until_ms = int(self._times_ms[end - 1])
        return count

    def take(self) -> tuple[RecordBatch, _Ints]:
        """Return the records that may leave, with their times."""
        rows = slice(self._first, self._marked)
        self._first = self._marked
        return self._records.cut(rows), self._times_ms[rows]

    def _forget_taken(self) -> None:
        """Free what has left once it is the larger part: each record moves once."""
        first = self._first
        if 2 * first >= len(self._times_ms):
            self._records = self._records.cut(slice(first, None))
            self._times_ms = self._times_ms[first:]
            self._first, self._marked = 0, self._marked - first


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an alignment has to know about partitions, at any moment.

    Attributes
    ----------
    partitions
        Those that are read, with the first offset of each that is to be answered.
    ended
        Those that have been read to their end.
    ignored
        Those that stand still, and may do so for ever.
    """

    partitions: Mapping[TopicPartition, PartitionState]
    ended: Callable[[], Collection[TopicPartition]]
    ignored: Collection[TopicPartition]


class Alignment:
    """A queue like `Backlog`, that lets records of inputs out in order.

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
        self._step_ms = aligning.step_ms
        self._around = surroundings
        self._passing = Backlog()
        self._queues: dict[TopicPartition, _Queue] = {}
        self.until_ms = ENDED
        self.is_held_back = self.has_handed_on = False

    @property
    def places(self) -> Collection[TopicPartition]:
        """The partitions that are waited for here."""
        return self._queues.keys()

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
        return len(self._passing) + sum(map(len, self._queues.values()))

    def begin(self, watermarks_ms: Mapping[TopicPartition, int | None]) -> None:
        """Wait for partitions from now on; those given have been read up to there."""
        for place, watermark_ms in watermarks_ms.items():
            if place.topic in self._times:
                known = MISSING if watermark_ms is None else watermark_ms
                self._queues[place] = _Queue(known)

    def drop(self, places: Collection[TopicPartition]) -> None:
        """Forget partitions that have moved on, and their records."""
        self._passing.drop(places)
        for place in places:
            self._queues.pop(place, None)

    def add(self, records: RecordBatch) -> None:
        """Put records behind those that wait, or let them pass."""
        for place, first, last in spans_of(records):
            queue = self._queues.get(place)
            live = last
            if queue is not None:
                live_from = self._around.partitions[place].live_from
                live = bisect_left(records.offsets, live_from, first, last)
            if first < live:
                self._passing.add(records.cut(slice(first, live)))
            if queue is not None and live < last:
                run = records.cut(slice(live, last))
                times = self._times[place.topic]
                queue.add(run, times.read(run.values, run.timestamps_ms))

    def take(self, max_records: int) -> RecordBatch:
        """Return records that may leave now, each partition's together.

        Where they span several steps, `ranks` tells in which order what follows from
        them is to be produced.
        """
        # Never twice in a row: others hand on all the time, and inputs would wait.
        is_alone = self.has_handed_on and len(self) < FEW
        batch = self._passing.take(max_records)
        passing = len(batch)
        self.has_handed_on = False
        if not self._queues or passing == max_records or (passing and is_alone):
            return batch
        self._mark(max_records - passing)
        ranks = [np.full(passing, MISSING)]
        for place, queue in self._in_order():
            if queue.has_marked:
                records, times_ms = queue.take()
                batch.extend(records)
                self.has_handed_on = True
                ranks.append(self._ranks(place, times_ms))
        all_ranks = np.concatenate(ranks)
        later = all_ranks[passing:]
        if len(later) and later.min() < later.max():
            batch.ranks = all_ranks
        return batch

    def crowded(self) -> list[TopicPartition]:
        """Return the partitions of which enough waits."""
        return [place for place, queue in self._queues.items() if len(queue) > CROWDED]

    def sparse(self, places: Collection[TopicPartition]) -> list[TopicPartition]:
        """Return those of the partitions that may go on: little of them waits."""
        return [
            place
            for place in places
            if len(self._queues[place]) < SPARSE and place not in self._around.ignored
        ]

    def _in_order(self) -> list[tuple[TopicPartition, _Queue]]:
        """Return the queues, those of the first topic first."""
        topics = list(self._times)
        return sorted(
            self._queues.items(), key=lambda item: topics.index(item[0].topic)
        )

    def _mark(self, room: int) -> None:
        """Let records leave step by step, as long as something may, and there is room.

        A step begins at the oldest head: the queue that it belongs to is never stuck.
        """
        self.is_held_back = False
        queues, ended = self._in_order(), self._around.ended()
        excluded = set(ended).union(self._around.ignored)
        while room and any(len(queue) for _, queue in queues):
            heads = (
                queue.head_ms if len(queue) else queue.until_ms
                for place, queue in queues
                if len(queue) or place not in excluded
            )
            first_ms = min(heads)
            self.is_held_back = first_ms > self.until_ms
            until_ms = min(first_ms + self._step_ms, self.until_ms)
            marked = 0
            for _, queue in queues:
                marked += queue.mark(until_ms, room - marked)
            if not marked:
                return
            room -= marked

    def _ranks(self, place: TopicPartition, times_ms: _Ints) -> _Ints:
        """Return (n,) numbers by which what follows from the records is ordered."""
        ranks: _Ints = times_ms // self._step_ms * len(self._times)
        return ranks + list(self._times).index(place.topic)
