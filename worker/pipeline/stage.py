"""What is done with the records of one topic: fold them, and answer each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.codec import Decoder, ScoreEncoder, origin_headers
from worker.features import FeatureTransform, row_digests
from worker.pipeline.dead_letters import DeadLetters
from worker.pipeline.folding import LiveEvents, Part, fold, live_events
from worker.pipeline.partition import PartitionState, at, by_partition
from worker.pipeline.results import PartitionResult, Rejected
from worker.pipeline.stopwatch import Stopwatch
from worker.records import (
    Decoded,
    NextOffset,
    Output,
    RecordBatch,
    Rejection,
    TopicPartition,
)
from worker.scoring import Reasons, Scorer

#: Makes an Output of the tuple of its fields in two thirds of the time.
_output_of: Any = partial(tuple.__new__, Output)

_row_of = attrgetter("row")


@dataclass(frozen=True, slots=True)
class _Answers:
    """Of m scored events: whether flagged, the published values, feature digests."""

    flagged: NDArray[np.bool_]
    values: list[bytes]
    digests: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Stage:
    """The last stage: scores what it folds.

    `reasons` is None where the model's scores are not explained.
    """

    decoder: Decoder
    transform: FeatureTransform
    scorer: Scorer
    reasons: Reasons | None
    encoder: ScoreEncoder
    scores_topic: str
    dead_letters: DeadLetters

    def run(
        self,
        records: RecordBatch,
        partitions: Mapping[TopicPartition, PartitionState],
        watch: Stopwatch,
    ) -> dict[TopicPartition, PartitionResult]:
        """Answer records of this stage's topic, at least one; see `Pipeline.run`."""
        records, spans = by_partition(records)
        decoded = self.decoder.decode(
            records.keys, records.values, records.timestamps_ms
        )
        watch.lap("decode")
        parts = fold(self.transform, records, decoded, spans, partitions)
        feature_count = len(self.transform.spec.feature_names)
        live = live_events(decoded, parts, feature_count=feature_count)
        watch.lap("transform")
        scores = self._score(live.X)
        watch.lap("score")
        answers = self._encode(live, scores)
        results = dict(self._results(records, decoded, parts, live, answers))
        watch.lap("encode")
        return results

    def _score(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        if not len(X):
            return np.empty(0)
        return self.scorer.score(X)

    def _encode(self, live: LiveEvents, scores: NDArray[np.float64]) -> _Answers:
        flagged = self.encoder.flag(scores)
        reasons = None
        if self.reasons is not None:
            reasons = self.reasons.of_scores(live.X, flagged)
        values = self.encoder.encode(
            live.events,
            scores,
            live.late,
            live.duplicate,
            live.incomplete,
            reasons=reasons,
        )
        return _Answers(flagged, values, row_digests(live.X))

    def _results(
        self,
        records: RecordBatch,
        decoded: Decoded,
        parts: list[Part],
        live: LiveEvents,
        answers: _Answers,
    ) -> Iterator[tuple[TopicPartition, PartitionResult]]:
        stamps = np.fromiter(records.timestamps_ms, np.int64, len(records))
        first = 0
        for part in parts:
            scored = slice(first, first + part.event_count)
            first = scored.stop
            rejections = _live_rejections(decoded, part)
            outputs = self._outputs(records, part, live, answers, scored)
            if rejections:
                outputs = self._merge(
                    records, part, live.rows[scored], outputs, rejections
                )
            yield (
                part.span.place,
                PartitionResult(
                    epoch=part.partition.epoch,
                    next_offset=_next_offset(part),
                    outputs=outputs,
                    replayed=part.live_row - part.span.first,
                    rejected=_rejected(records, part, rejections),
                    flagged=int(np.count_nonzero(answers.flagged[scored])),
                    late=int(np.count_nonzero(live.late[scored])),
                    duplicate=int(np.count_nonzero(live.duplicate[scored])),
                    incomplete=int(np.count_nonzero(live.incomplete[scored])),
                    timestamps_ms=stamps[part.live_row : part.span.last],
                    scored_timestamps_ms=stamps[live.rows[scored]],
                ),
            )

    def _outputs(
        self,
        records: RecordBatch,
        part: Part,
        live: LiveEvents,
        answers: _Answers,
        scored: slice,
    ) -> list[Output]:
        """Return the scores of a part, in log order."""
        place = part.span.place
        rows = live.rows[scored]
        offsets = np.array(at(records.offsets, rows), np.int64)
        headers = origin_headers(place, offsets, answers.digests[scored])
        fields = zip(
            repeat(self.scores_topic),
            answers.values[scored],
            at(records.keys, rows),
            repeat(place.partition),
            [[header] for header in headers],
            repeat(place),
            strict=False,
        )
        return list(map(_output_of, fields))

    def _merge(
        self,
        records: RecordBatch,
        part: Part,
        rows: NDArray[np.intp],
        scores: list[Output],
        rejections: list[Rejection],
    ) -> list[Output]:
        """Return scores and dead letters of a part in log order."""
        outputs = dict(zip(rows.tolist(), scores, strict=True))
        for rejection in rejections:
            place = part.span.place
            outputs[rejection.row] = self.dead_letters.output(records, rejection, place)
        return [outputs[row] for row in range(part.live_row, part.span.last)]


def _live_rejections(decoded: Decoded, part: Part) -> list[Rejection]:
    if not decoded.rejections:
        return []
    first = bisect_left(decoded.rejections, part.live_row, key=_row_of)
    last = bisect_left(decoded.rejections, part.span.last, lo=first, key=_row_of)
    return list(decoded.rejections[first:last])


def _rejected(
    records: RecordBatch, part: Part, rejections: list[Rejection]
) -> list[Rejected]:
    return [
        Rejected(r.row - part.live_row, records.offsets[r.row], r.reason, r.field)
        for r in rejections
    ]


def _next_offset(part: Part) -> NextOffset | None:
    """Return what to commit; nothing while what was committed lies ahead."""
    partition = part.partition
    if part.live_row == part.span.last:
        return None
    return NextOffset(partition.next_offset, partition.remember(partition.watermark_ms))
