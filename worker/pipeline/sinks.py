"""What becomes of folded events: a score each, or records for the next stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from worker.codec import ScoreEncoder, origin_headers
from worker.codec.forwarding import (
    ForwardingCodec,
    Origins,
    encode_labels,
    record_keys,
)
from worker.codec.stage_flags import pack_flags
from worker.drift import BinCounter, BinCounts
from worker.features import row_digests
from worker.pipeline.folding import LiveEvents
from worker.pipeline.partition import at
from worker.pipeline.stopwatch import Stopwatch
from worker.records import BY_KEY, Header, Output, RecordBatch
from worker.scoring import Reasons, Scorer

#: Makes an Output of the tuple of its fields in two thirds of the time.
_output_of: Any = partial(tuple.__new__, Output)

_NO_HEADERS: list[Header] = []


class Answers(NamedTuple):
    """The outputs of m events, in the order of the events.

    `per_event` of them belong to each. `flagged` (m,) tells which of the scores are
    flagged; None where the outputs are no scores. `bins` has one for each part of the
    batch, or is empty where nothing is counted. `control_group` (m,) tells which of the
    scores would be flagged, but for the group; None where there is none.
    """

    outputs: list[Output]
    per_event: int
    flagged: NDArray[np.bool_] | None
    bins: Sequence[BinCounts] = ()
    control_group: NDArray[np.bool_] | None = None


class Sink(Protocol):
    """Makes the outputs of a stage."""

    def answer(
        self,
        records: RecordBatch,
        live: LiveEvents,
        watch: Stopwatch,
    ) -> Answers:
        """Return the outputs of the live events of a batch."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """Of the last stage: a score for each event, on its transaction's partition.

    `reasons` is None where the model's scores are not explained, `counter` where the
    model has no reference to count by.
    """

    scorer: Scorer
    reasons: Reasons | None
    encoder: ScoreEncoder
    scores_topic: str
    transactions_topic: str
    counter: BinCounter | None = None

    def answer(
        self,
        records: RecordBatch,
        live: LiveEvents,
        watch: Stopwatch,
    ) -> Answers:
        """Score, and encode."""
        scores = self.scorer.score(live.X) if len(live) else np.empty(0)
        watch.lap("score")
        decisions = self.encoder.decide(live.events.transaction_ids, scores)
        published, flagged, group = decisions
        reasons = None
        if self.reasons is not None:
            reasons = self.reasons.of_scores(live.X, flagged)
        values = self.encoder.encode(
            live.events,
            decisions,
            live.late,
            live.duplicate,
            live.incomplete,
            reasons=reasons,
        )
        origins = origins_of(records, live)
        headers = origin_headers(
            self.transactions_topic,
            origins.partitions,
            origins.offsets,
            row_digests(live.X),
        )
        fields = zip(
            repeat(self.scores_topic),
            values,
            origins.keys,
            origins.partitions.tolist(),
            [[header] for header in headers],
            repeat(0),
            strict=False,
        )
        bins = self._bins(live, published, flagged)
        return Answers(list(map(_output_of, fields)), 1, flagged, bins, group)

    def _bins(
        self,
        live: LiveEvents,
        published: NDArray[np.float64],
        flagged: NDArray[np.bool_],
    ) -> Sequence[BinCounts]:
        """Return the counts of each part; none where there is nothing to count by."""
        if self.counter is None:
            return ()
        return self.counter.count_parts(live.X, published, flagged, live.edges[1:])


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Of an earlier stage: each event, with what is known of it, for the next one."""

    codec: ForwardingCodec
    topic: str

    def answer(
        self,
        records: RecordBatch,
        live: LiveEvents,
        watch: Stopwatch,  # noqa: ARG002
    ) -> Answers:
        """Encode."""
        keys, values = self.codec.encode_events(
            live.events,
            origins_of(records, live),
            pack_flags(live.late, live.duplicate, live.incomplete),
            live.X,
        )
        return Answers(_forwarded(self.topic, keys, values, records, live), 1, None)


@dataclass(frozen=True, slots=True)
class LabelForwarding:
    """Each label into the log of every entity whose windows look at it.

    `targets` are those entities' topics, with their key fields.
    """

    targets: Sequence[tuple[str, str]]

    def answer(
        self,
        records: RecordBatch,
        live: LiveEvents,
        watch: Stopwatch,  # noqa: ARG002
    ) -> Answers:
        """Encode; labels are decoded as events."""
        values = encode_labels(live.events, origins_of(records, live))
        columns = live.events.columns
        outputs = [
            _forwarded(topic, record_keys(columns[key]), values, records, live)
            for topic, key in self.targets
        ]
        in_order = list(chain.from_iterable(zip(*outputs, strict=True)))
        return Answers(in_order, len(outputs), None)


def origins_of(records: RecordBatch, live: LiveEvents) -> Origins:
    """Return which transactions live events are, wherever they have come by."""
    if live.earlier is not None:
        return live.earlier.origins
    rows = live.rows
    keys: Any = at(records.keys, rows)
    return Origins(
        np.fromiter(at(records.partitions, rows), np.int64, len(rows)),
        np.fromiter(at(records.offsets, rows), np.int64, len(rows)),
        keys,
    )


def _forwarded(
    topic: str,
    keys: list[bytes],
    values: list[bytes],
    records: RecordBatch,
    live: LiveEvents,
) -> list[Output]:
    """Return records for a stage; the producer chooses the partition by the key.

    They keep the timestamp, by which a topic forgets and a replay finds its start.
    """
    stamps = np.fromiter(at(records.timestamps_ms, live.rows), np.int64, len(live))
    fields = zip(
        repeat(topic),
        values,
        keys,
        repeat(BY_KEY),
        repeat(_NO_HEADERS),
        np.maximum(stamps, 0).tolist(),
        strict=False,
    )
    return list(map(_output_of, fields))
