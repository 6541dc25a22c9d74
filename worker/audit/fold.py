"""The offline path: what the log of one partition says, recomputed from the start.

Shares the transform with the worker and nothing else: no pipeline, no partition
state, no commit. Pure; the records come from the caller.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.audit.pairing import is_everything
from worker.codec import Decoder
from worker.features import FeatureTransform, row_digests
from worker.records import (
    Column,
    EventBatch,
    RecordBatch,
    Rejection,
    TopicPartition,
)


@dataclass(frozen=True, slots=True)
class FoldStart:
    """What is known about the beginning of a fold.

    Attributes
    ----------
    incomplete_until_ms
        As in the commit's metadata: answers to earlier events carry a flag.
    comparable_from_ms
        Earlier events may depend on records that the log held when they were answered
        and no longer holds; None where the fold begins where the worker's did.
    """

    incomplete_until_ms: int | None = None
    comparable_from_ms: int | None = None


@dataclass(slots=True)
class FoldedRecords:
    """n consecutive records of a partition, and the m events among them.

    Attributes
    ----------
    offsets, is_score
        (n,) the record's offset; True where it is an event, hence to be scored.
    events
        (n,) row of the record among the events, -1 where it is none.
    rejections
        n: why the record is no event, None where it is one.
    batch, X, digests, late, duplicate, incomplete, comparable
        (m, …) the events, and what the fold says about each.
    """

    place: TopicPartition
    offsets: NDArray[np.int64]
    timestamps_ms: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]
    rejections: list[Rejection | None]
    events: NDArray[np.intp]
    batch: EventBatch
    X: NDArray[np.float64]
    digests: NDArray[np.uint64]
    late: NDArray[np.bool_]
    duplicate: NDArray[np.bool_]
    incomplete: NDArray[np.bool_]
    comparable: NDArray[np.bool_]

    @property
    def is_score(self) -> NDArray[np.bool_]:
        """(n,) True where the record is to be answered by a score."""
        return self.events >= 0

    def take(self, rows: NDArray[np.intp]) -> FoldedRecords:
        """Return those records, in that order."""
        if is_everything(rows, len(self.offsets)):
            return self
        index = rows.tolist()
        events = self.events[rows]
        kept = events[events >= 0]
        events[events >= 0] = np.arange(len(kept))
        return FoldedRecords(
            self.place,
            self.offsets[rows],
            [self.timestamps_ms[i] for i in index],
            [self.keys[i] for i in index],
            [self.values[i] for i in index],
            [self.rejections[i] for i in index],
            events,
            self.batch.take(kept),
            self.X[kept],
            self.digests[kept],
            self.late[kept],
            self.duplicate[kept],
            self.incomplete[kept],
            self.comparable[kept],
        )

    def join(self, other: FoldedRecords) -> FoldedRecords:
        """Return these records, then the other's."""
        shifted = np.where(other.events >= 0, other.events + len(self.batch), -1)
        return FoldedRecords(
            self.place,
            np.concatenate((self.offsets, other.offsets)),
            self.timestamps_ms + other.timestamps_ms,
            self.keys + other.keys,
            self.values + other.values,
            self.rejections + other.rejections,
            np.concatenate((self.events, shifted)),
            _join_events(self.batch, other.batch),
            np.concatenate((self.X, other.X)),
            np.concatenate((self.digests, other.digests)),
            np.concatenate((self.late, other.late)),
            np.concatenate((self.duplicate, other.duplicate)),
            np.concatenate((self.incomplete, other.incomplete)),
            np.concatenate((self.comparable, other.comparable)),
        )


class LogFold:
    """Folds the log of one partition, record by record in order.

    Parameters
    ----------
    transform
        Compiled once and shared between partitions; it holds no state.
    """

    def __init__(
        self,
        transform: FeatureTransform,
        place: TopicPartition,
        *,
        start: FoldStart,
        max_keys: int,
        max_events: int,
    ):
        self._decoder = Decoder(transform.spec.schema)
        self._transform = transform
        self._state = transform.new_state(max_keys=max_keys, max_events=max_events)
        self._place = place
        self._start = start

    def skip(self, records: RecordBatch) -> None:
        """Take the next records for what they do to those after them."""
        decoded = self._decoder.decode(
            records.keys, records.values, records.timestamps_ms
        )
        self._transform.transform(decoded.events, self._state)

    def fold(self, records: RecordBatch) -> FoldedRecords:
        """Take the next records and return all that can be said about them."""
        decoded = self._decoder.decode(
            records.keys, records.values, records.timestamps_ms
        )
        rows = self._transform.transform(decoded.events, self._state)
        events = np.full(len(records), -1, np.intp)
        events[decoded.rows] = np.arange(len(decoded.rows))
        rejections: list[Rejection | None] = [None] * len(records)
        for rejection in decoded.rejections:
            rejections[rejection.row] = rejection
        return FoldedRecords(
            self._place,
            np.array(records.offsets, np.int64),
            records.timestamps_ms,
            records.keys,
            records.values,
            rejections,
            events,
            decoded.events,
            rows.X,
            row_digests(rows.X),
            rows.late,
            rows.duplicate,
            is_before(decoded.events.event_time_ms, self._start.incomplete_until_ms),
            ~is_before(decoded.events.event_time_ms, self._start.comparable_from_ms),
        )


def is_before(times_ms: NDArray[np.int64], end_ms: int | None) -> NDArray[np.bool_]:
    """Return (n,) which times lie before an end; without one, none."""
    if end_ms is None:
        return np.zeros(len(times_ms), np.bool_)
    return times_ms < end_ms


def _join_events(first: EventBatch, second: EventBatch) -> EventBatch:
    return EventBatch(
        first.transaction_ids + second.transaction_ids,
        np.concatenate((first.event_time_ms, second.event_time_ms)),
        {
            name: _join_columns(column, second.columns[name])
            for name, column in first.columns.items()
        },
    )


def _join_columns(first: Column, second: Column) -> Column:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return np.concatenate((first, second))
    return [*first, *second]
