"""A stream of tokens and its audit: what the tests of the pairing share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.audit.pairing import Answers, Comparison, PartitionAudit, Verdict
from worker.audit.report import AuditReport, Finding
from worker.records import TopicPartition

CONSUMED = TopicPartition("transactions", 3)


@dataclass(slots=True)
class TokenRows:
    """Expected rows whose whole content is one token each."""

    offsets: NDArray[np.int64]
    is_score: NDArray[np.bool_]
    tokens: list[bytes]

    def take(self, rows: NDArray[np.intp]) -> TokenRows:
        tokens = [self.tokens[i] for i in rows.tolist()]
        return TokenRows(self.offsets[rows], self.is_score[rows], tokens)

    def join(self, other: TokenRows) -> TokenRows:
        return TokenRows(
            np.concatenate((self.offsets, other.offsets)),
            np.concatenate((self.is_score, other.is_score)),
            self.tokens + other.tokens,
        )


def token(offset: int) -> bytes:
    return b"answer to %d" % offset


def expected(offsets: Sequence[int], dead: Sequence[int] = ()) -> TokenRows:
    return TokenRows(
        np.array(offsets, np.int64),
        np.array([o not in dead for o in offsets], np.bool_),
        [token(o) for o in offsets],
    )


def answers(
    published: Sequence[tuple[int, bytes]], *, is_score: bool = True, start: int = 0
) -> Answers:
    """Answers as (origin, token), at consecutive offsets from `start`."""
    n = len(published)
    return Answers(
        place=TopicPartition("scores" if is_score else "dead-letters", 3),
        is_score=is_score,
        offsets=np.arange(start, start + n, dtype=np.int64),
        origins=np.array([origin for origin, _ in published], np.int64),
        keys=[None] * n,
        values=[value for _, value in published],
        headers=[[] for _ in range(n)],
    )


def right(origins: Sequence[int]) -> list[tuple[int, bytes]]:
    return [(origin, token(origin)) for origin in origins]


def compare_tokens(rows: TokenRows, published: Answers) -> Comparison:
    wrong = [
        Verdict(i, Finding.DIFFERENT, "token")
        for i, (mine, theirs) in enumerate(
            zip(rows.tokens, published.values, strict=True)
        )
        if mine != theirs
    ]
    return Comparison(len(rows.tokens), 0, wrong)


def token_audit(
    first: int, end: int, report: AuditReport, *, max_waiting: int = 100
) -> PartitionAudit[TokenRows]:
    return PartitionAudit(
        CONSUMED,
        first=first,
        end=end,
        compare=compare_tokens,
        report=report,
        max_waiting=max_waiting,
    )


def audit(
    offsets: Sequence[int],
    published: Sequence[tuple[int, bytes]],
    dead: Sequence[tuple[int, bytes]] = (),
    *,
    first: int = 0,
    end: int | None = None,
    rejected: Sequence[int] = (),
    chunk: int = 4,
    max_waiting: int = 100,
) -> AuditReport:
    """Audit a whole stream in chunks, records first, as a caller would."""
    report = AuditReport()
    end = max(offsets) + 1 if end is None else end
    whole = token_audit(first, end, report, max_waiting=max_waiting)
    unread = {True: list(published), False: list(dead)}
    for i in range(0, len(offsets), chunk):
        whole.expect(expected(offsets[i : i + chunk], rejected))
        for kind, rest in unread.items():
            while rest and whole.unanswered(is_score=kind):
                whole.publish(answers(rest[:chunk], is_score=kind))
                del rest[:chunk]
                if whole.early(is_score=kind) >= chunk:
                    break
    for kind, rest in unread.items():
        if rest:
            whole.publish(answers(rest, is_score=kind))
    whole.finish()
    return report


def counts(report: AuditReport) -> dict[str, int]:
    """The findings that are not zero."""
    return {str(f): n for f, n in report.counts.items() if n}
