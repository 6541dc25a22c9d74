"""Advances the state of partitions by the records of a batch, keeps what is live."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.codec.stage_flags import unpack_flags
from worker.features import FeatureRows, FeatureTransform, Run
from worker.pipeline.partition import PartitionState, at
from worker.pipeline.sources import Earlier, Incoming
from worker.records import EventBatch, RecordBatch, TopicPartition
from worker.spans import Span

Bools = NDArray[np.bool_]


class Part(NamedTuple):
    """What of a batch came from one partition.

    Rows [live_row, span.last) are answered, events [live_event, last_event) of the
    decoded ones are scored; what comes before them in the span was only folded.
    """

    span: Span
    partition: PartitionState
    live_row: int
    live_event: int
    last_event: int


@dataclass(slots=True)
class LiveEvents:
    """The m events to be answered, each partition's together, in log order.

    `rows` (m,) are their rows in the batch, `X` (m, n_columns) what is known of them;
    late, duplicate and incomplete are (m,) bool, at this stage or at one before. Those
    of part i are `edges[i]` to `edges[i + 1]`.
    """

    events: EventBatch
    rows: NDArray[np.intp]
    X: NDArray[np.float64]
    late: Bools
    duplicate: Bools
    incomplete: Bools
    edges: list[int]
    earlier: Earlier | None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: NDArray[np.intp]) -> LiveEvents:
        """Return the events of those places."""
        earlier = self.earlier
        if earlier is not None:
            earlier = Earlier(
                earlier.origins.take(index), earlier.flags[index], earlier.given[index]
            )
        return LiveEvents(
            self.events.take(index),
            self.rows[index],
            self.X[index],
            self.late[index],
            self.duplicate[index],
            self.incomplete[index],
            self.edges,
            earlier,
        )


def fold(
    transform: FeatureTransform,
    records: RecordBatch,
    incoming: Incoming,
    spans: Sequence[Span],
    partitions: Mapping[TopicPartition, PartitionState],
) -> tuple[list[Part], FeatureRows]:
    """Fold every event and label into the state of its partition, once.

    Return the parts with the features of all n events.

    Raises
    ------
    StateUnusable
        A limit on live keys or events is reached.
    """
    states = [partitions[span.place] for span in spans]
    for span, partition in zip(spans, states, strict=True):
        assert records.offsets[span.first] >= partition.next_offset, "folded before"
    events = _counts(incoming.rows, spans)
    labels = _counts(incoming.label_rows, spans)
    features = transform.transform_runs(
        incoming.events,
        [Run(p.state, *n) for p, *n in zip(states, events, labels, strict=True)],
        offsets=_offsets_if_needed(records, incoming, spans, states),
        labels=incoming.labels,
        given=None if incoming.earlier is None else incoming.earlier.given,
    )
    return _advance(records, incoming, spans, states), features


def pass_by(
    records: RecordBatch,
    incoming: Incoming,
    spans: Sequence[Span],
    partitions: Mapping[TopicPartition, PartitionState],
) -> tuple[list[Part], FeatureRows]:
    """Advance partitions whose records leave nothing behind."""
    states = [partitions[span.place] for span in spans]
    count = len(incoming.rows)
    no, never = np.zeros(count, np.bool_), np.zeros(count, np.int64)
    nothing = FeatureRows(np.empty((count, 0)), no, no, never)
    return _advance(records, incoming, spans, states), nothing


def _advance(
    records: RecordBatch,
    incoming: Incoming,
    spans: Sequence[Span],
    states: Sequence[PartitionState],
) -> list[Part]:
    """Note that the spans have been folded, and find what is to be answered."""
    parts, first = [], 0
    counts = _counts(incoming.rows, spans)
    for span, partition, count in zip(spans, states, counts, strict=True):
        partition.next_offset = records.offsets[span.last - 1] + 1
        live = bisect_left(records.offsets, partition.live_from, span.first, span.last)
        live_event = first
        if live > span.first:
            live_event = int(np.searchsorted(incoming.rows, live))
        first += count
        parts.append(Part(span, partition, live, live_event, first))
    return parts


def live_events(
    incoming: Incoming, parts: Sequence[Part], features: FeatureRows
) -> LiveEvents:
    """Gather what is to be answered from all partitions."""
    late, duplicate = features.late, features.duplicate
    incomplete = _incomplete(incoming, parts)
    if incoming.earlier is not None:
        was_late, was_duplicate, was_incomplete = unpack_flags(incoming.earlier.flags)
        late, duplicate = late | was_late, duplicate | was_duplicate
        incomplete |= was_incomplete
    counts = [part.last_event - part.live_event for part in parts]
    live = LiveEvents(
        incoming.events,
        incoming.rows,
        features.X,
        late,
        duplicate,
        incomplete,
        list(accumulate(counts, initial=0)),
        incoming.earlier,
    )
    if live.edges[-1] == len(live):
        return live
    spans = [np.arange(part.live_event, part.last_event) for part in parts]
    return live.take(np.concatenate(spans))


def _counts(rows: NDArray[np.intp] | None, spans: Sequence[Span]) -> list[int]:
    """Return how many of those ascending rows each span has; mostly all of it."""
    if rows is None:
        return [0] * len(spans)
    if len(rows) == spans[-1].last:
        return [span.last - span.first for span in spans]
    edges = [0, *rows.searchsorted([span.last for span in spans]).tolist()]
    return [last - first for first, last in pairwise(edges)]


def _offsets_if_needed(
    records: RecordBatch,
    incoming: Incoming,
    spans: Sequence[Span],
    states: Sequence[PartitionState],
) -> NDArray[np.int64] | None:
    """Return the offsets of the events while a snapshot is being caught up."""
    if all(
        records.offsets[span.first] >= partition.folded_until
        for span, partition in zip(spans, states, strict=True)
    ):
        return None
    return np.fromiter(at(records.offsets, incoming.rows), np.int64, len(incoming.rows))


def _incomplete(incoming: Incoming, parts: Sequence[Part]) -> Bools:
    """Return which events are older than where their state is complete."""
    times = incoming.events.event_time_ms
    flags = np.zeros(len(times), np.bool_)
    for part in parts:
        end_ms = part.partition.incomplete_until_ms
        if end_ms is not None:
            own = slice(part.live_event, part.last_event)
            flags[own] = times[own] < end_ms
    return flags
