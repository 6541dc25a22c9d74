"""From one topic to the next: everything arrived once, in order, and as it should.

Pure but for the ledgers' files; the records come from the caller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from worker.audit.contents import Contents
from worker.audit.fold import FoldedRecords
from worker.audit.ledger import Ledger, Published
from worker.audit.pairing import Answers
from worker.audit.report import AuditReport, Example, Finding
from worker.audit.stage_fold import FoldedEvents
from worker.pipeline import Topology
from worker.records import Header, TopicPartition

Rows = NDArray[np.intp]
Ints = NDArray[np.int64]


class Wrong(NamedTuple):
    """An answer by its place among others, and what is wrong with it."""

    at: int
    finding: Finding
    what: str


#: Given the rows that were answered and the answers, returns which of these are wrong,
#: and how.
Differences = Callable[[Rows, Published], list[Wrong]]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(
    tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]
).decode


def whole(key: bytes | None, value: bytes | None, headers: Sequence[Header]) -> bytes:
    """Return a published record as it is kept until it is compared."""
    return _encode((key, value, list(headers)))


def digest(key: bytes | None, value: bytes | None) -> bytes:
    """Return 16 bytes that stand for a record between two stages."""
    return hashlib.blake2b(
        len(key or b"").to_bytes(4, "little") + (key or b"") + (value or b""),
        digest_size=16,
    ).digest()


@dataclass(slots=True)
class Hop:
    """Compares what follows from the records of one topic with what was published.

    Attributes
    ----------
    origin_topic
        Transactions, or labels: where the records come from in the end.
    published_topic
        What is audited here.
    needed_after_ms
        Older records may have had an answer that is no longer kept.
    """

    origin_topic: str
    published_topic: str
    ledger: Ledger
    report: AuditReport
    needed_after_ms: int = -1
    _highest: dict[tuple[TopicPartition, int], int] = field(default_factory=dict)

    def check(
        self,
        consumed: TopicPartition,
        origins: tuple[Ints, Ints],
        timestamps_ms: Ints,
        differences: Differences,
    ) -> int:
        """Check n records, in log order; return how many were answered."""
        audited, found, published = self.ledger.ask(origins)
        missing = np.setdiff1d(audited, found)
        missing = missing[timestamps_ms[missing] > self.needed_after_ms]
        self._report(Finding.MISSING, origins, missing, None, "")
        self._check_order(consumed, origins, found, published)
        for at, finding, what in differences(found, published):
            where = _one(published, at)
            self._report(finding, origins, found[[at]], where, what)
        return len(found)

    def keep(
        self,
        origins: tuple[Ints, Ints],
        place: TopicPartition,
        offsets: Sequence[int],
        contents: Sequence[bytes],
    ) -> None:
        """Keep n published records of a partition; report those that repeat one."""
        for row in self.ledger.add(origins, place, offsets, contents).tolist():
            at = place.partition, offsets[row]
            self._report(Finding.DUPLICATED, origins, np.array([row]), at, "")

    def finish(self) -> None:
        """Report what follows from nothing that there is."""
        for partition, offset, *at in self.ledger.unasked():
            example = self._example(
                Finding.UNEXPECTED, (partition, offset), (at[0], at[1]), ""
            )
            self.report.add(Finding.UNEXPECTED, 1, [example])

    def _check_order(
        self,
        consumed: TopicPartition,
        origins: tuple[Ints, Ints],
        found: Rows,
        published: Published,
    ) -> None:
        """What follows from one partition on one partition keeps its order."""
        for partition in np.unique(published.partitions).tolist():
            here = np.flatnonzero(published.partitions == partition)
            place = consumed, partition
            before = self._highest.get(place, -1)
            offsets = np.concatenate(([before], published.offsets[here]))
            highest = np.maximum.accumulate(offsets)
            self._highest[place] = int(highest[-1])
            for at in here[offsets[1:] < highest[:-1]].tolist():
                self._report(
                    Finding.OUT_OF_ORDER, origins, found[[at]], _one(published, at), ""
                )

    def _report(
        self,
        finding: Finding,
        origins: tuple[Ints, Ints],
        rows: Rows,
        at: tuple[int, int] | None,
        what: str,
    ) -> None:
        examples = (
            self._example(
                finding, (int(origins[0][row]), int(origins[1][row])), at, what
            )
            for row in rows.tolist()
        )
        self.report.add(finding, len(rows), examples)

    def _example(
        self,
        finding: Finding,
        origin: tuple[int, int],
        at: tuple[int, int] | None,
        what: str,
    ) -> Example:
        record = TopicPartition(self.origin_topic, origin[0])
        if at is None:
            text = what or f"nothing on {self.published_topic}"
            return Example(finding, record, origin[1], None, None, text)
        published = TopicPartition(self.published_topic, at[0])
        return Example(finding, record, origin[1], published, at[1], what)


def differing_digests(expected: Sequence[bytes], what: str) -> Differences:
    """Return what compares records between two stages with what they should be."""

    def differences(rows: Rows, published: Published) -> list[Wrong]:
        pairs = zip(rows.tolist(), published.contents, strict=True)
        return [
            Wrong(at, Finding.DIFFERENT, what)
            for at, (row, content) in enumerate(pairs)
            if expected[row] != content
        ]

    return differences


def differing_scores(
    events: FoldedEvents, topology: Topology, contents: Contents, report: AuditReport
) -> Differences:
    """Return what compares scores with the events that they answer."""

    def differences(rows: Rows, published: Published) -> list[Wrong]:
        wrong = []
        for partition in np.unique(published.partitions).tolist():
            here = np.flatnonzero(published.partitions == partition)
            folded = events.to_be_scored(topology.transactions, rows[here])
            place = TopicPartition(topology.scores, partition)
            answers = _answers(place, folded.offsets, published, here, is_score=True)
            wrong += _judged(contents, folded, answers, here, report)
        return wrong

    return differences


def differing_letters(
    rejected: FoldedRecords,
    place: TopicPartition,
    contents: Contents,
    report: AuditReport,
) -> Differences:
    """Return what compares dead letters with the records that were rejected."""

    def differences(rows: Rows, published: Published) -> list[Wrong]:
        if not len(rows):
            return []
        folded, here = rejected.take(rows), np.arange(len(rows))
        answers = _answers(place, folded.offsets, published, here, is_score=False)
        return _judged(contents, folded, answers, here, report)

    return differences


def _judged(
    contents: Contents,
    folded: FoldedRecords,
    answers: Answers,
    here: Rows,
    report: AuditReport,
) -> list[Wrong]:
    comparison = contents.compare(folded, answers)
    report.compared += comparison.compared
    report.not_compared += comparison.not_compared
    return [Wrong(int(here[v.row]), v.finding, v.what) for v in comparison.verdicts]


def _answers(
    place: TopicPartition,
    origins: Ints,
    published: Published,
    at: Rows,
    *,
    is_score: bool,
) -> Answers:
    records = [_decode(published.contents[i]) for i in at.tolist()]
    return Answers(
        place,
        is_score,
        published.offsets[at],
        origins,
        [key for key, _, _ in records],
        [value for _, value, _ in records],
        [headers for _, _, headers in records],
    )


def _one(published: Published, at: int) -> tuple[int, int]:
    return int(published.partitions[at]), int(published.offsets[at])
