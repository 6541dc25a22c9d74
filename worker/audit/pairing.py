"""Pairs records with their answers: each once, in order, in bounded memory.

Pure; what an answer should contain comes from the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from worker.audit.report import AuditReport, Example, Finding
from worker.records import Header, TopicPartition

#: Rows whose content may wait for its counterpart, on either side.
MAX_WAITING = 20_000

#: Bits of a byte per audited offset.
_EXISTS, _ANSWERED = 1, 2


def is_everything(rows: NDArray[np.intp], count: int) -> bool:
    """Whether these are all rows in their order: then nothing needs to be copied."""
    return len(rows) == count and bool(np.all(rows[1:] > rows[:-1]))


@dataclass(slots=True)
class Answers:
    """Published records of one partition as columns, in the order of their topic.

    `offsets` are their own, `origins` the offsets of the records that they answer;
    (n,) int64 each.
    """

    place: TopicPartition
    is_score: bool
    offsets: NDArray[np.int64]
    origins: NDArray[np.int64]
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: list[list[Header]]

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: NDArray[np.intp]) -> Answers:
        """Return those rows, in that order."""
        if is_everything(rows, len(self)):
            return self
        index = rows.tolist()
        return Answers(
            self.place,
            self.is_score,
            self.offsets[rows],
            self.origins[rows],
            [self.keys[i] for i in index],
            [self.values[i] for i in index],
            [self.headers[i] for i in index],
        )

    def join(self, other: Answers) -> Answers:
        """Return these, then the other's."""
        return Answers(
            self.place,
            self.is_score,
            np.concatenate((self.offsets, other.offsets)),
            np.concatenate((self.origins, other.origins)),
            self.keys + other.keys,
            self.values + other.values,
            self.headers + other.headers,
        )


class ExpectedRows(Protocol):
    """Records of one partition with all that is needed to tell their answers."""

    @property
    def offsets(self) -> NDArray[np.int64]:
        """(n,) increasing."""
        ...

    @property
    def is_score(self) -> NDArray[np.bool_]:
        """(n,) True where the answer is a score, False where it is a dead letter."""
        ...

    def take(self, rows: NDArray[np.intp], /) -> Self:
        """Return those rows, in that order."""
        ...

    def join(self, other: Self, /) -> Self:
        """Return these rows, then the other's."""
        ...


class Verdict(NamedTuple):
    """What is wrong with one pair: its row among the pairs, and the field names."""

    row: int
    finding: Finding
    what: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many pairs were compared, how many could not be, and what was found."""

    compared: int
    not_compared: int
    verdicts: Sequence[Verdict]


Rows = TypeVar("Rows", bound=ExpectedRows)


class PartitionAudit(Generic[Rows]):
    """Pairs the records of one consumed partition with their answers.

    Records are given in log order by `expect`, answers in the order of their topic by
    `publish`, in any interleaving; what both sides have is compared and forgotten.
    Remembers a byte for every offset in the range, and the content of at most
    `max_waiting` rows on either side; more are only counted, which needs that many
    answers missing or out of order, so it never makes a bad stream look good.

    Parameters
    ----------
    consumed
        The partition whose records are answered.
    first, end
        Answers to offsets in [first, end) are looked at. Older ones belong to an
        earlier start of the group, newer ones are not committed or not asked for.
    compare
        Given n rows and n answers, pairwise, says what is wrong with them.
    """

    def __init__(
        self,
        consumed: TopicPartition,
        *,
        first: int,
        end: int,
        compare: Callable[[Rows, Answers], Comparison],
        report: AuditReport,
        max_waiting: int = MAX_WAITING,
    ):
        self._consumed = consumed
        self._first = first
        self._seen = np.zeros(max(end - first, 0), np.uint8)
        self._compare = compare
        self._report = report
        self._max_waiting = max_waiting
        self._chunk_start = self._next = first
        self._highest: dict[TopicPartition, int] = {}
        self._rows: Rows | None = None
        self._early: dict[bool, Answers | None] = {True: None, False: None}

    def unanswered(self, *, is_score: bool) -> int:
        """Return how many records of the last chunk wait for an answer of that kind."""
        if self._rows is None:
            return 0
        wanted = self._rows.is_score == is_score
        return int(np.count_nonzero(wanted & (self._rows.offsets >= self._chunk_start)))

    def early(self, *, is_score: bool) -> int:
        """Return how many answers are held whose records have not been given yet."""
        answers = self._early[is_score]
        return 0 if answers is None else len(answers)

    def expect(self, rows: Rows) -> None:
        """Take the next records of the log, at least one, all in [first, end)."""
        self._seen[rows.offsets - self._first] |= _EXISTS
        self._report.events += len(rows.offsets)
        self._chunk_start, self._next = int(rows.offsets[0]), int(rows.offsets[-1]) + 1
        self._rows = rows if self._rows is None else self._rows.join(rows)
        for is_score in (True, False):
            self._pair(is_score=is_score)

    def publish(self, answers: Answers) -> None:
        """Take the next answers of one topic partition."""
        at = answers.origins - self._first
        inside = np.flatnonzero((at >= 0) & (at < len(self._seen)))
        _, first_rows = np.unique(at[inside], return_index=True)
        is_first = np.zeros(len(inside), np.bool_)
        is_first[first_rows] = True
        is_first &= (self._seen[at[inside]] & _ANSWERED) == 0
        self._found(Finding.DUPLICATED, answers, inside[~is_first])
        accepted = inside[is_first]
        self._seen[at[accepted]] |= _ANSWERED
        self._count(answers.is_score, len(accepted))
        self._check_order(answers, accepted)
        held, new = self._early[answers.is_score], answers.take(accepted)
        self._early[answers.is_score] = new if held is None else held.join(new)
        self._pair(is_score=answers.is_score)

    def finish(self) -> None:
        """Report the records without an answer and the answers without a record."""
        for finding, bits in (
            (Finding.MISSING, _EXISTS),
            (Finding.UNEXPECTED, _ANSWERED),
        ):
            offsets = np.flatnonzero(self._seen == bits) + self._first
            examples = (
                Example(finding, self._consumed, int(offset), None, None, "")
                for offset in offsets
            )
            self._report.add(finding, len(offsets), examples)

    def _count(self, is_score: bool, count: int) -> None:  # noqa: FBT001
        if is_score:
            self._report.scores += count
        else:
            self._report.dead_letters += count

    def _check_order(self, answers: Answers, rows: NDArray[np.intp]) -> None:
        """Find the answers that come after the answer to a later record."""
        origins = answers.origins[rows]
        if not len(origins):
            return
        before = self._highest.get(answers.place, -1)
        highest = np.maximum.accumulate(np.concatenate(([before], origins)))
        self._highest[answers.place] = int(highest[-1])
        self._found(Finding.OUT_OF_ORDER, answers, rows[origins < highest[:-1]])

    def _found(
        self, finding: Finding, answers: Answers, rows: NDArray[np.intp], what: str = ""
    ) -> None:
        examples = (self._example(finding, answers, int(row), what) for row in rows)
        self._report.add(finding, len(rows), examples)

    def _example(
        self, finding: Finding, answers: Answers, row: int, what: str
    ) -> Example:
        origin, offset = int(answers.origins[row]), int(answers.offsets[row])
        return Example(finding, self._consumed, origin, answers.place, offset, what)

    def _pair(self, *, is_score: bool) -> None:
        """Compare what both sides have, and keep what may still find its pair."""
        rows, answers = self._rows, self._early[is_score]
        if answers is None:
            return
        if rows is not None:
            _, mine, theirs = np.intersect1d(
                rows.offsets, answers.origins, assume_unique=True, return_indices=True
            )
            if len(mine):
                self._judge(rows.take(mine), answers.take(theirs))
            keep = np.delete(np.arange(len(rows.offsets)), mine)[-self._max_waiting :]
            self._rows = rows.take(keep) if len(keep) else None
        ahead = np.flatnonzero(answers.origins >= self._next)[: self._max_waiting]
        self._early[is_score] = answers.take(ahead) if len(ahead) else None

    def _judge(self, rows: Rows, answers: Answers) -> None:
        comparison = self._compare(rows, answers)
        self._report.compared += comparison.compared
        self._report.not_compared += comparison.not_compared
        for row, finding, what in comparison.verdicts:
            self._found(finding, answers, np.array([row]), what)
