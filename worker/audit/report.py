"""What an audit found: counts, examples by their coordinates, and the verdict."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from worker.records import TopicPartition


class Finding(enum.StrEnum):
    """What an audit may find, in the order in which it is shown."""

    MISSING = "missing"
    DUPLICATED = "duplicated"
    OUT_OF_ORDER = "out of order"
    DIFFERENT = "different"
    UNEXPECTED = "unexpected"
    PENDING = "pending"
    UNVERIFIABLE = "unverifiable"


_AGAINST_THE_WORKER = (
    Finding.MISSING,
    Finding.DUPLICATED,
    Finding.OUT_OF_ORDER,
    Finding.DIFFERENT,
)


class Example(NamedTuple):
    """One finding by its coordinates; never a key, an id or a payload.

    `published` is the place of the answer, None where there is none.
    """

    finding: Finding
    record: TopicPartition
    offset: int | None
    published: TopicPartition | None
    published_offset: int | None
    what: str

    def __str__(self) -> str:
        """Return `different transactions/3/17 (scores/3/12): score`."""
        where = _coordinates(self.record, self.offset)
        if self.published is not None:
            where += f" ({_coordinates(self.published, self.published_offset)})"
        return f"{self.finding} {where}" + (f": {self.what}" if self.what else "")

    def as_dict(self) -> dict[str, str | None]:
        """Return the example for programs."""
        published = None
        if self.published is not None:
            published = _coordinates(self.published, self.published_offset)
        return {
            "finding": str(self.finding),
            "record": _coordinates(self.record, self.offset),
            "published": published,
            "what": self.what,
        }


def _no_findings() -> dict[Finding, int]:
    return dict.fromkeys(Finding, 0)


@dataclass(slots=True)
class AuditReport:
    """What an audit found, summed over partitions.

    Attributes
    ----------
    events
        Records that had to be answered, those pending included.
    scores, dead_letters
        Answers, each record's first.
    not_compared
        Answers that were paired but whose features cannot be recomputed, because the
        log no longer reaches back far enough.
    compared
        Answers whose whole content was compared.
    labels
        Those that had to be handed on.
    """

    max_examples: int = 10
    events: int = 0
    scores: int = 0
    dead_letters: int = 0
    compared: int = 0
    not_compared: int = 0
    labels: int = 0
    counts: dict[Finding, int] = field(
        default_factory=lambda: dict.fromkeys(Finding, 0)
    )
    examples: list[Example] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def add(self, finding: Finding, count: int, examples: Iterable[Example]) -> None:
        """Count findings; keep an example of each kind before more of the same."""
        self.counts[finding] += count
        room = self.max_examples - sum(e.finding is finding for e in self.examples)
        for _, example in zip(range(room), examples, strict=False):
            self.examples.append(example)

    def pend(self, count: int) -> None:
        """Count records that had not been answered when the audit began."""
        self.events += count
        self.add(Finding.PENDING, count, ())

    def is_clean(self, *, allow_duplicates: bool = False) -> bool:
        """True when every record was answered once, in order, with the right content.

        Nothing compared although there were answers is no proof, hence not clean.
        """
        tolerated = {Finding.DUPLICATED} if allow_duplicates else set()
        found = any(n for f, n in self.counts.items() if f not in tolerated)
        proven = self.compared > 0 or self.not_compared == 0
        return proven and not found

    def as_lines(self) -> list[str]:
        """Return the report for people; the last line is the one that matters."""
        scores, dead_letters = self.scores, self.dead_letters
        labels = f"labels in {self.labels}, " if self.labels else ""
        answered = (
            f"events in {self.events}, {labels}scores {scores}, dead letters "
            f"{dead_letters}"
        )
        against = [f"{f} {self.counts[f]}" for f in _AGAINST_THE_WORKER]
        aside = [
            f"{f} {self.counts[f]}" for f in Finding if f not in _AGAINST_THE_WORKER
        ]
        return [
            *(f"note: {notice}" for notice in self.notices),
            *map(str, self.shown_examples()),
            f"compared {self.compared}, {', '.join(aside)}",
            answered,
            ", ".join(against),
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return the report for programs."""
        return {
            "events": self.events,
            "labels": self.labels,
            "scores": self.scores,
            "dead_letters": self.dead_letters,
            "compared": self.compared,
            "not_compared": self.not_compared,
            **{str(f).replace(" ", "_"): n for f, n in self.counts.items()},
            "examples": [example.as_dict() for example in self.shown_examples()],
            "notices": self.notices,
        }

    def shown_examples(self) -> list[Example]:
        """At most `max_examples`, the kinds in turn so that none hides another."""
        kinds = [[e for e in self.examples if e.finding is f] for f in Finding]
        longest = max(map(len, kinds))
        turns = [k[i] for i in range(longest) for k in kinds if i < len(k)]
        return turns[: self.max_examples]


def _coordinates(place: TopicPartition, offset: int | None) -> str:
    return f"{place.topic}/{place.partition}/{'?' if offset is None else offset}"
