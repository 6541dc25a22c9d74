"""Advances the state of partitions by the events of a batch, and keeps what is live."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.features import FeatureRows, FeatureTransform
from worker.pipeline.partition import PartitionState, Span, at
from worker.records import Decoded, EventBatch, RecordBatch, TopicPartition

Bools = NDArray[np.bool_]


class Part(NamedTuple):
    """What of a batch came from one partition.

    Rows [live_row, span.last) are answered, events [live_event, last_event) of the
    decoded ones are scored; what comes before them in the span was only folded.
    `features` are those of [first_event, last_event).
    """

    span: Span
    partition: PartitionState
    live_row: int
    first_event: int
    live_event: int
    last_event: int
    features: FeatureRows | None

    @property
    def event_count(self) -> int:
        """How many events are scored."""
        return self.last_event - self.live_event


@dataclass(frozen=True, slots=True)
class LiveEvents:
    """The m events to be scored, each partition's together, in log order.

    `rows` (m,) are their rows in the batch, `X` (m, n_features) their features; late,
    duplicate and incomplete are (m,) bool.
    """

    events: EventBatch
    rows: NDArray[np.intp]
    X: NDArray[np.float64]
    late: Bools
    duplicate: Bools
    incomplete: Bools

    def __len__(self) -> int:
        return len(self.rows)


def fold(
    transform: FeatureTransform,
    records: RecordBatch,
    decoded: Decoded,
    spans: Sequence[Span],
    partitions: Mapping[TopicPartition, PartitionState],
) -> list[Part]:
    """Fold every event into the state of its partition, once.

    Raises
    ------
    StateUnusable
        A limit on live keys or events is reached.
    """
    parts = []
    edges = np.searchsorted(decoded.rows, [s.first for s in spans] + [len(records)])
    firsts = edges.tolist()
    for span, first, last in zip(spans, firsts, firsts[1:], strict=False):
        partition = partitions[span.place]
        assert records.offsets[span.first] >= partition.next_offset, "folded before"
        features = None
        if first < last:
            events = _cut(decoded.events, first, last)
            offsets = _offsets_if_needed(partition, records, span, decoded.rows, first)
            features = transform.transform(events, partition.state, offsets=offsets)
        partition.next_offset = records.offsets[span.last - 1] + 1
        live = bisect_left(records.offsets, partition.live_from, span.first, span.last)
        live_event = first if live == span.first else _first_from(decoded, live)
        parts.append(Part(span, partition, live, first, live_event, last, features))
    return parts


def live_events(
    decoded: Decoded, parts: Sequence[Part], *, feature_count: int
) -> LiveEvents:
    """Gather what is to be scored from all partitions."""
    scored = [part for part in parts if part.event_count]
    if not scored:
        none = np.zeros(0, np.bool_)
        X = np.empty((0, feature_count))
        events = _cut(decoded.events, 0, 0)
        return LiveEvents(events, decoded.rows[:0], X, none, none, none)
    if sum(part.event_count for part in scored) == len(decoded.rows):
        events, rows = decoded.events, decoded.rows
    else:
        live = [np.arange(part.live_event, part.last_event) for part in scored]
        index = np.concatenate(live)
        events, rows = decoded.events.take(index), decoded.rows[index]
    return LiveEvents(
        events,
        rows,
        np.concatenate([_features(part).X[_live(part)] for part in scored]),
        np.concatenate([_features(part).late[_live(part)] for part in scored]),
        np.concatenate([_features(part).duplicate[_live(part)] for part in scored]),
        np.concatenate([_incomplete(decoded, part) for part in scored]),
    )


def _offsets_if_needed(
    partition: PartitionState,
    records: RecordBatch,
    span: Span,
    rows: NDArray[np.intp],
    first: int,
) -> NDArray[np.int64] | None:
    """Return the offsets of a span's events while a snapshot is being caught up."""
    if records.offsets[span.first] >= partition.folded_until:
        return None
    own = rows[first : int(np.searchsorted(rows, span.last))]
    return np.array(at(records.offsets, own), np.int64)


def _first_from(decoded: Decoded, row: int) -> int:
    return int(np.searchsorted(decoded.rows, row))


def _cut(events: EventBatch, first: int, last: int) -> EventBatch:
    if first == 0 and last == len(events):
        return events
    return EventBatch(
        events.transaction_ids[first:last],
        events.event_time_ms[first:last],
        {name: column[first:last] for name, column in events.columns.items()},
    )


def _features(part: Part) -> FeatureRows:
    assert part.features is not None
    return part.features


def _live(part: Part) -> slice:
    return slice(part.live_event - part.first_event, None)


def _incomplete(decoded: Decoded, part: Part) -> Bools:
    end_ms = part.partition.incomplete_until_ms
    if end_ms is None:
        return np.zeros(part.event_count, np.bool_)
    return decoded.events.event_time_ms[part.live_event : part.last_event] < end_ms
