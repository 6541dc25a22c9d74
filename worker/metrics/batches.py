"""Counts committed batches: several at once, as soon as somebody looks.

A batch of a few payments takes longer to count than to score: 70 µs by itself, and 20
among thirty others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.drift import BinCounts
from worker.metrics import catalogue as names
from worker.metrics.exemplars import SLOW_SECONDS, Exemplars
from worker.metrics.facts import Batch, Part
from worker.metrics.store import MetricStore
from worker.records import TopicPartition

#: What a score says.
DECISIONS = ("flagged", "passed")

#: Batches that are kept until they are counted, at most.
KEPT_BATCHES = 32

#: Records of them, at most: with the last batch come as many as it has.
KEPT_RECORDS = 1000

#: What is counted of a part and needs no label but the model.
_counts_of = attrgetter(
    "flagged", "control_group", "replayed", "late", "duplicate", "incomplete"
)


class Committed(NamedTuple):
    """A batch whose commit returned, or that only replayed.

    `polled_at` and `committed_at`: when its poll and its commit returned, seconds since
    1970.
    """

    batch: Batch
    polled_at: float
    committed_at: float
    commit_seconds: float


class BatchCounts:
    """Keeps batches for a moment, and counts them together.

    Whoever reads the store sees all of them counted.
    """

    def __init__(self, store: MetricStore, model_version: str):
        self._store = store
        self._model_version = model_version
        self._exemplars = Exemplars(store, model_version)
        self._kept: list[Committed] = []
        self._kept_records = 0
        store.before_reading = self._count_kept

    def add(self, committed: Committed) -> None:
        """Count a batch, now or as soon as the store is read."""
        with self._store.lock:
            self._kept.append(committed)
            parts = committed.batch.parts.values()
            self._kept_records += sum(len(part.timestamps_ms) for part in parts)
            is_much = self._kept_records >= KEPT_RECORDS
            if is_much or len(self._kept) >= KEPT_BATCHES:
                self._count_kept()

    def _count_kept(self) -> None:
        """Count what is kept; the caller holds the lock."""
        kept = self._kept
        if not kept:
            return
        self._count(
            list(chain.from_iterable(each.batch.parts.items() for each in kept))
        )
        for each in kept:
            self._measure(each)
        self._measure_ages(kept)
        self._kept, self._kept_records = [], 0

    def _count(self, placed: Sequence[tuple[TopicPartition, Part]]) -> None:
        add, version = self._store.add, self._model_version
        parts = [part for _, part in placed]
        for place, part in placed:
            add(names.EVENTS_CONSUMED, len(part.timestamps_ms), place.topic)
            for rejected in part.rejected:
                add(names.DLQ_EVENTS, 1, rejected.reason)
        self._count_bins([part.bins for part in parts if part.bins is not None])
        scored = sum(len(part.scored_timestamps_ms) for part in parts)
        totals = map(sum, zip(*map(_counts_of, parts), strict=True))
        flagged, control_group, replayed, late, duplicate, incomplete = totals
        add(names.EVENTS_SCORED, flagged, version, "flagged")
        add(names.EVENTS_SCORED, scored - flagged, version, "passed")
        add(names.EVENTS_CONTROL_GROUP, control_group, version)
        add(names.EVENTS_REPLAYED, replayed)
        add(names.EVENTS_LATE, late)
        add(names.EVENTS_DUPLICATE, duplicate)
        add(names.EVENTS_INCOMPLETE, incomplete)

    def _count_bins(self, bins: Sequence[BinCounts]) -> None:
        if not bins:
            return
        self._store.add_row(names.FEATURE_VALUES, np.sum([b.cells for b in bins], 0))
        sums = (
            sum(b.flagged_score_sum for b in bins),
            sum(b.passed_score_sum for b in bins),
        )
        for decision, total in zip(DECISIONS, sums, strict=True):
            self._store.add(
                names.SCORE_PROBABILITY, total, self._model_version, decision
            )

    def _measure(self, committed: Committed) -> None:
        """Note the size of a batch, and how long its stages took."""
        store, parts = self._store, committed.batch.parts.values()
        answered = sum(len(part.timestamps_ms) for part in parts)
        size = answered + sum(part.replayed for part in parts)
        store.observe(names.BATCH_SIZE, size)
        for stage, seconds in committed.batch.stage_seconds.items():
            store.observe(names.BATCH_STAGE_DURATION, seconds, stage)
        if answered:
            store.observe(
                names.BATCH_STAGE_DURATION, committed.commit_seconds, "commit"
            )
            store.add(names.COMMITS, 1)
        if any(len(part.scored_timestamps_ms) for part in parts):
            store.set(names.WORKER_LAST_SCORE, committed.committed_at)

    def _measure_ages(self, kept: Sequence[Committed]) -> None:
        """Note how long records had waited for the poll, and for their scores."""
        waits = _ages(kept, attrgetter("timestamps_ms"), attrgetter("polled_at"))
        self._store.observe_all(names.QUEUE_WAIT, waits)
        ages = _scored_ages(kept)
        self._store.observe_all(names.EVENT_TO_SCORE, ages, self._model_version)
        is_slow = bool(len(ages)) and ages.max() > SLOW_SECONDS
        for each in kept:
            slowest = _scored_ages([each]).max(initial=0.0) if is_slow else 0.0
            self._exemplars.note(each.batch, slowest, each.committed_at)


def _scored_ages(kept: Sequence[Committed]) -> NDArray[np.float64]:
    """Return how old the records of scores were when these were committed."""
    of_scores = attrgetter("scored_timestamps_ms")
    return _ages(kept, of_scores, attrgetter("committed_at"))


def _ages(
    kept: Sequence[Committed],
    stamps_of: Callable[[Part], NDArray[np.int64]],
    moment_of: Callable[[Committed], float],
) -> NDArray[np.float64]:
    """Return how old the records of some batches were at a moment of each, in seconds.

    Those without a timestamp (-1) have no age; those of a clock ahead of ours have 0.
    """
    parts = [list(map(stamps_of, each.batch.parts.values())) for each in kept]
    stamps = np.concatenate(list(chain.from_iterable(parts)))
    counts = [sum(map(len, of_batch)) for of_batch in parts]
    ages = np.repeat(list(map(moment_of, kept)), counts) - stamps / 1000
    return np.maximum(ages[stamps >= 0], 0.0)
