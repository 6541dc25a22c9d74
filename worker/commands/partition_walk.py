"""One partition's audit in progress: records ahead, their answers behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from worker.audit.fold import FoldedRecords, LogFold
from worker.audit.pairing import Answers, Comparison, PartitionAudit
from worker.audit.published import read_answers
from worker.audit.report import AuditReport
from worker.audit.scope import Scope
from worker.kafka.reader import BATCH_RECORDS, LogReader, ReadBatch, Span
from worker.records import RecordBatch, TopicPartition

#: Answers read ahead of the records that they answer, at most, before the audit goes
#: on without the answers that it waits for. Dead letters may be large.
_AHEAD = {True: BATCH_RECORDS, False: 256}

#: How long to wait for answers that an open commit hides, seconds.
_HIDDEN_SECONDS = 10.0


class Published:
    """The answers of one kind on one partition, in the order of their topic."""

    def __init__(
        self,
        reader: LogReader,
        span: Span,
        consumed: TopicPartition,
        report: AuditReport,
        *,
        is_score: bool,
    ):
        self._reader = reader
        self._span = span
        self._consumed = consumed
        self._report = report
        self._is_score = is_score
        self.topic = span.place.topic

    def __iter__(self) -> Iterator[Answers]:
        read = self._reader.read(
            self._span, with_headers=True, patience_seconds=_HIDDEN_SECONDS
        )
        for batch in read:
            yield self._read(batch, self._report)
        if not read.is_complete:
            self._report.notices.append(
                f"{_name(self._span.place)}: what follows offset {read.next_offset} is "
                "hidden by a commit that is still open"
            )

    def first_origin(self) -> int | None:
        """Return the first record whose answer is still kept; None without any.

        0 where no answer was ever removed.
        """
        if self._span.start == 0:
            return 0
        for batch in self._reader.read(self._span, with_headers=True, max_records=256):
            answers = self._read(batch, AuditReport())
            known = answers.origins[answers.origins >= 0]
            if len(known):
                return int(known[0])
        return None

    def _read(self, batch: ReadBatch, report: AuditReport) -> Answers:
        return read_answers(
            batch.records,
            batch.headers,
            consumed=self._consumed,
            is_score=self._is_score,
            report=report,
        )


class Walk:
    """One partition's audit in progress: records ahead, their answers behind them."""

    def __init__(
        self,
        scope: Scope,
        fold: LogFold,
        published: Mapping[bool, Published],
        compare: Callable[[FoldedRecords, Answers], Comparison],
        report: AuditReport,
    ):
        self._fold = fold
        self._firsts = {
            kind: _first_audited(scope, of_kind, report)
            for kind, of_kind in published.items()
        }
        self._first = min(self._firsts.values())
        self._audit = PartitionAudit(
            scope.place,
            first=self._first,
            end=scope.limit,
            compare=compare,
            report=report,
        )
        self._streams = {kind: iter(of_kind) for kind, of_kind in published.items()}

    def step(self, records: RecordBatch) -> None:
        """Take the next records, and as many answers as they ask for."""
        if records.offsets[-1] < self._first:
            self._fold.skip(records)
            return
        rows = self._fold.fold(records)
        firsts = np.where(rows.is_score, self._firsts[True], self._firsts[False])
        audited = np.flatnonzero(rows.offsets >= firsts)
        if not len(audited):
            return
        self._audit.expect(rows if len(audited) == len(records) else rows.take(audited))
        for is_score in self._streams:
            self._catch_up(is_score=is_score)

    def finish(self) -> None:
        """Take the answers that are left, and count."""
        for stream in self._streams.values():
            for answers in stream:
                self._audit.publish(answers)
        self._audit.finish()

    def _catch_up(self, *, is_score: bool) -> None:
        while (
            self._audit.unanswered(is_score=is_score)
            and self._audit.early(is_score=is_score) < _AHEAD[is_score]
        ):
            answers = next(self._streams[is_score], None)
            if answers is None:
                return
            self._audit.publish(answers)


def _first_audited(scope: Scope, published: Published, report: AuditReport) -> int:
    """Return the first record whose answer of that kind must still be there."""
    origin = published.first_origin()
    first = scope.limit if origin is None else max(scope.first, origin)
    if first > scope.first:
        report.notices.append(
            f"{_name(scope.place)}: what answered the records before {first} on "
            f"{published.topic} is no longer kept; those are not audited"
        )
    return first


def _name(place: TopicPartition) -> str:
    return f"{place.topic}/{place.partition}"
