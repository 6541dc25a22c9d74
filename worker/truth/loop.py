"""The loop of `fraud-worker truth`: read, join, judge, commit, show, in this order."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from worker.records import NextOffset, RecordBatch, TopicPartition
from worker.truth.join import Join
from worker.truth.memory import commits_of
from worker.truth.showing import TruthMetrics

#: Records of one poll at most, and how long it waits for a first one, seconds.
MAX_RECORDS, POLL_SECONDS = 8192, 0.1

#: Least time between two commits without a new judgement, seconds: what a successor
#: would read again anyway.
COMMIT_SECONDS = 1.0

#: A partition of scores on which nothing has come for so long keeps nobody waiting,
#: seconds. Before that, others may only be quicker: those of a worker that works off a
#: backlog are days apart.
IDLE_SECONDS = 60.0

#: Without anything new, it is committed again after so long, seconds: a broker forgets
#: the commits of a group that nobody joins, by default after seven days.
RENEWAL_SECONDS = 3_600.0


class Reader(Protocol):
    """What follows the topics."""

    @property
    def positions(self) -> Mapping[TopicPartition, int]:
        """Up to where each partition has been read."""
        ...

    @property
    def unread(self) -> set[TopicPartition]:
        """The partitions that have not been read to their ends."""
        ...

    def ends_are(self, ends: Mapping[TopicPartition, int]) -> None:
        """Note where partitions end by now."""

    def poll(
        self, max_records: int, timeout_seconds: float
    ) -> Mapping[TopicPartition, RecordBatch]:
        """Return what is there, waiting at most as long as given."""
        ...


class TruthLoop:
    """Counts until it is told to stop.

    Parameters
    ----------
    ends
        Asks where partitions end now.
    commit
        Commits in one request; returns once that is done.
    """

    def __init__(
        self,
        join: Join,
        reader: Reader,
        metrics: TruthMetrics,
        *,
        ends: Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, int]],
        commit: Callable[[Mapping[TopicPartition, NextOffset]], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._join = join
        self._reader = reader
        self._metrics = metrics
        self._ends = ends
        self._send = commit
        self._clock = clock
        self._committed_at = clock() - RENEWAL_SECONDS
        self._has_news = False
        self._heard = dict.fromkeys(join.score_places, clock())

    def run_once(self) -> None:
        """Do one iteration.

        1. poll, and let payments and labels meet
        2. judge the cohorts that are old enough, once everything that had been
           published by now was read
        3. commit what changed
        4. show what was committed, and nothing else
        """
        batches = self._reader.poll(MAX_RECORDS, POLL_SECONDS)
        self._metrics.polled(time.time())
        for place, records in batches.items():
            self._join.read(place, records)
            self._heard[place] = self._clock()
        for place, position in self._reader.positions.items():
            self._join.passed(place, position)
        self._has_news |= bool(batches)
        has_judged = self._judge()
        if self._join.is_restored and (has_judged or self._is_time()):
            self.commit()
        self._metrics.measured(self._join, len(self._reader.unread))

    def commit(self) -> None:
        """Commit what is known, then show it; nothing while it is not all restored."""
        if not self._join.is_restored:
            return
        self._send(commits_of(self._join))
        self._committed_at, self._has_news = self._clock(), False
        self._metrics.show(self._join.tally)

    def _judge(self) -> bool:
        if self._join.due(self._holding()) is None:
            return False
        # A label may have been published just before the score that moved the clock.
        ended = self._reader.positions.keys() - self._reader.unread
        if ended:
            self._reader.ends_are(self._ends(sorted(ended)))
        until_ms = self._join.due(self._holding())
        if until_ms is None:
            return False
        self._join.judge(until_ms)
        return True

    def _holding(self) -> set[TopicPartition]:
        """Return the partitions that may still bring something."""
        since = self._clock() - IDLE_SECONDS
        lively = {p for p in self._join.score_places if self._heard[p] > since}
        return self._reader.unread | lively

    def _is_time(self) -> bool:
        waited = self._clock() - self._committed_at
        return waited >= (COMMIT_SECONDS if self._has_news else RENEWAL_SECONDS)
