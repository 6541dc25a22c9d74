"""Advances the state of partitions by the records of a batch, keeps what is live."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.codec.stage_flags import unpack_flags
from worker.features import FeatureRows, FeatureTransform
from worker.pipeline.partition import PartitionState, Span, at
from worker.pipeline.sources import Earlier, Incoming
from worker.records import EventBatch, LabelBatch, RecordBatch, TopicPartition

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
        """How many events are answered."""
        return self.last_event - self.live_event


@dataclass(frozen=True, slots=True)
class LiveEvents:
    """The m events to be answered, each partition's together, in log order.

    `rows` (m,) are their rows in the batch, `X` (m, n_columns) what is known of them;
    late, duplicate and incomplete are (m,) bool, at this stage or at one before.
    """

    events: EventBatch
    rows: NDArray[np.intp]
    X: NDArray[np.float64]
    late: Bools
    duplicate: Bools
    incomplete: Bools
    earlier: Earlier | None

    def __len__(self) -> int:
        return len(self.rows)


def fold(
    transform: FeatureTransform,
    records: RecordBatch,
    incoming: Incoming,
    spans: Sequence[Span],
    partitions: Mapping[TopicPartition, PartitionState],
) -> list[Part]:
    """Fold every event and label into the state of its partition, once.

    Raises
    ------
    StateUnusable
        A limit on live keys or events is reached.
    """
    parts = []
    edges = np.searchsorted(incoming.rows, [s.first for s in spans] + [len(records)])
    firsts = edges.tolist()
    for span, first, last in zip(spans, firsts, firsts[1:], strict=False):
        partition = partitions[span.place]
        assert records.offsets[span.first] >= partition.next_offset, "folded before"
        features = None
        labels = _labels(incoming, span, first)
        if first < last or labels is not None:
            features = transform.transform(
                _cut(incoming.events, first, last),
                partition.state,
                offsets=_offsets_if_needed(partition, records, span, incoming, first),
                labels=labels,
                given=_given(incoming, first, last),
            )
        parts.append(
            _advance(partition, records, incoming, span, (first, last), features)
        )
    return parts


def pass_by(
    records: RecordBatch,
    incoming: Incoming,
    spans: Sequence[Span],
    partitions: Mapping[TopicPartition, PartitionState],
) -> list[Part]:
    """Advance partitions whose records leave nothing behind."""
    edges = np.searchsorted(incoming.rows, [s.first for s in spans] + [len(records)])
    firsts = edges.tolist()
    parts = []
    for span, first, last in zip(spans, firsts, firsts[1:], strict=False):
        partition, events = partitions[span.place], (first, last)
        nothing = _no_features(last - first)
        parts.append(_advance(partition, records, incoming, span, events, nothing))
    return parts


def _advance(
    partition: PartitionState,
    records: RecordBatch,
    incoming: Incoming,
    span: Span,
    events: Sequence[int],
    features: FeatureRows | None,
) -> Part:
    """Note that a span has been folded, and find what of it is to be answered."""
    first, last = events
    partition.next_offset = records.offsets[span.last - 1] + 1
    live = bisect_left(records.offsets, partition.live_from, span.first, span.last)
    live_event = first if live == span.first else _first_from(incoming.rows, live)
    return Part(span, partition, live, first, live_event, last, features)


def live_events(
    incoming: Incoming, parts: Sequence[Part], *, column_count: int
) -> LiveEvents:
    """Gather what is to be answered from all partitions."""
    live = [part for part in parts if part.event_count]
    if not live:
        none = np.zeros(0, np.bool_)
        X = np.empty((0, column_count))
        events = _cut(incoming.events, 0, 0)
        return LiveEvents(events, incoming.rows[:0], X, none, none, none, None)
    events, rows, earlier = incoming.events, incoming.rows, incoming.earlier
    if sum(part.event_count for part in live) < len(rows):
        spans = [np.arange(part.live_event, part.last_event) for part in live]
        index = np.concatenate(spans)
        events, rows = events.take(index), rows[index]
        earlier = None if earlier is None else _taken(earlier, index)
    late = np.concatenate([_features(part).late[_live(part)] for part in live])
    repeats = [_features(part).duplicate[_live(part)] for part in live]
    duplicate = np.concatenate(repeats)
    incomplete = np.concatenate([_incomplete(incoming, part) for part in live])
    if earlier is not None:
        was_late, was_duplicate, was_incomplete = unpack_flags(earlier.flags)
        late |= was_late
        duplicate |= was_duplicate
        incomplete |= was_incomplete
    X = np.concatenate([_features(part).X[_live(part)] for part in live])
    return LiveEvents(events, rows, X, late, duplicate, incomplete, earlier)


def _labels(incoming: Incoming, span: Span, first_event: int) -> LabelBatch | None:
    """Return the labels of a span, to go with its events; None without any."""
    if incoming.labels is None or incoming.label_rows is None:
        return None
    edges = np.searchsorted(incoming.label_rows, [span.first, span.last])
    first, last = edges.tolist()
    if first == last:
        return None
    return incoming.labels.take(slice(first, last), event_shift=first_event)


def _given(incoming: Incoming, first: int, last: int) -> NDArray[np.float64] | None:
    return None if incoming.earlier is None else incoming.earlier.given[first:last]


def _taken(earlier: Earlier, index: NDArray[np.intp]) -> Earlier:
    return Earlier(
        earlier.origins.take(index), earlier.flags[index], earlier.given[index]
    )


def _offsets_if_needed(
    partition: PartitionState,
    records: RecordBatch,
    span: Span,
    incoming: Incoming,
    first: int,
) -> NDArray[np.int64] | None:
    """Return the offsets of a span's events while a snapshot is being caught up."""
    if records.offsets[span.first] >= partition.folded_until:
        return None
    rows = incoming.rows
    own = rows[first : int(np.searchsorted(rows, span.last))]
    return np.array(at(records.offsets, own), np.int64)


def _no_features(count: int) -> FeatureRows:
    no, never = np.zeros(count, np.bool_), np.zeros(count, np.int64)
    return FeatureRows(np.empty((count, 0)), no, no, never)


def _first_from(rows: NDArray[np.intp], row: int) -> int:
    return int(np.searchsorted(rows, row))


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


def _incomplete(incoming: Incoming, part: Part) -> Bools:
    end_ms = part.partition.incomplete_until_ms
    if end_ms is None:
        return np.zeros(part.event_count, np.bool_)
    return incoming.events.event_time_ms[part.live_event : part.last_event] < end_ms
