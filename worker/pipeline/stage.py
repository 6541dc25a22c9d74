"""What is done with the records of one topic: fold them, and answer each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, repeat, zip_longest
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.features import FeatureTransform
from worker.pipeline.dead_letters import DeadLetters
from worker.pipeline.examples import examples_of
from worker.pipeline.folding import LiveEvents, Part, fold, live_events, pass_by
from worker.pipeline.partition import PartitionState, by_partition
from worker.pipeline.results import PartitionResult, Rejected
from worker.pipeline.sinks import Answers, Sink
from worker.pipeline.sources import Incoming, Source
from worker.pipeline.stopwatch import Stopwatch
from worker.records import NextOffset, Output, RecordBatch, Rejection, TopicPartition

_row_of = attrgetter("row")


@dataclass(frozen=True, slots=True)
class Stage:
    """How the records of one topic are answered.

    Attributes
    ----------
    source
        Takes them apart.
    transform
        Folds them; None where they leave nothing behind.
    sink
        Makes a score of each event, or hands it on.
    """

    source: Source
    transform: FeatureTransform | None
    sink: Sink
    dead_letters: DeadLetters

    def run(
        self,
        records: RecordBatch,
        partitions: Mapping[TopicPartition, PartitionState],
        watch: Stopwatch,
    ) -> dict[TopicPartition, PartitionResult]:
        """Answer records of this stage's topic, at least one; see `Pipeline.run`."""
        records, spans = by_partition(records)
        incoming = self.source.read(records)
        watch.lap("decode")
        if self.transform is None:
            parts, features = pass_by(records, incoming, spans, partitions)
        else:
            parts, features = fold(self.transform, records, incoming, spans, partitions)
        live = live_events(incoming, parts, features)
        watch.lap("transform")
        answers = self.sink.answer(records, live, watch)
        results = dict(self._results(records, incoming, parts, live, answers))
        watch.lap("encode")
        return results

    def _results(
        self,
        records: RecordBatch,
        incoming: Incoming,
        parts: list[Part],
        live: LiveEvents,
        answers: Answers,
    ) -> Iterator[tuple[TopicPartition, PartitionResult]]:
        stamps = np.fromiter(records.timestamps_ms, np.int64, len(records))
        # Who hands on counts no scores.
        scored_stamps = stamps[live.rows if answers.flagged is not None else []]
        of_parts = zip_longest(parts, pairwise(live.edges), answers.bins)
        counts = _score_counts(live, answers)
        for (part, edges, bins), count in zip(of_parts, counts, strict=True):
            own = slice(*edges)
            rejections = _live_rejections(incoming, part)
            outputs, times = _outputs_of(answers, own), scored_stamps[own]
            rows = live.rows[own].repeat(answers.per_event)
            if rejections:
                outputs, rows = self._merge(records, part, rows, outputs, rejections)
            yield (
                part.span.place,
                PartitionResult(
                    epoch=part.partition.epoch,
                    next_offset=_next_offset(part),
                    outputs=outputs,
                    replayed=part.live_row - part.span.first,
                    rejected=_rejected(records, part, rejections),
                    flagged=count.flagged,
                    late=count.late,
                    duplicate=count.duplicate,
                    incomplete=count.incomplete,
                    timestamps_ms=stamps[part.live_row : part.span.last],
                    scored_timestamps_ms=times,
                    bins=bins,
                    examples=partial(examples_of, records, live, own, times, bins),
                    control_group=count.control_group,
                    ranks=None if records.ranks is None else records.ranks[rows],
                ),
            )

    def _merge(
        self,
        records: RecordBatch,
        part: Part,
        rows: NDArray[np.intp],
        outputs: list[Output],
        rejections: list[Rejection],
    ) -> tuple[list[Output], NDArray[np.intp]]:
        """Return outputs and dead letters of a part in log order, and their rows."""
        place = part.span.place
        letters = [self.dead_letters.output(records, r, place) for r in rejections]
        all_rows = np.concatenate((rows, [r.row for r in rejections])).astype(np.intp)
        order = np.argsort(all_rows, kind="stable")
        both = outputs + letters
        return [both[i] for i in order.tolist()], all_rows[order]


class _ScoreCounts(NamedTuple):
    """How many of a part's scores are so."""

    flagged: int = 0
    late: int = 0
    duplicate: int = 0
    incomplete: int = 0
    control_group: int = 0


def _score_counts(live: LiveEvents, answers: Answers) -> Iterator[_ScoreCounts]:
    """Count the scores of each part."""
    if answers.flagged is None:
        return repeat(_ScoreCounts(), len(live.edges) - 1)
    flags = live.late, live.duplicate, live.incomplete
    marks = (answers.flagged, *flags, answers.control_group)
    return map(_ScoreCounts, *(_count_each(mark, live.edges) for mark in marks))


def _count_each(chosen: NDArray[np.bool_] | None, edges: Sequence[int]) -> list[int]:
    """Return how many are chosen between two edges; mostly none at all is."""
    if chosen is None or not np.count_nonzero(chosen):
        return [0] * (len(edges) - 1)
    parts = (chosen[first:last] for first, last in pairwise(edges))
    return [int(np.count_nonzero(part)) for part in parts]


def _outputs_of(answers: Answers, events: slice) -> list[Output]:
    first, last = events.start * answers.per_event, events.stop * answers.per_event
    if first == 0 and last == len(answers.outputs):
        return answers.outputs
    return answers.outputs[first:last]


def _live_rejections(incoming: Incoming, part: Part) -> list[Rejection]:
    if not incoming.rejections:
        return []
    first = bisect_left(incoming.rejections, part.live_row, key=_row_of)
    last = bisect_left(incoming.rejections, part.span.last, lo=first, key=_row_of)
    return incoming.rejections[first:last]


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
