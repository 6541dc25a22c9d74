"""What the demo counts: records in, answers out, how long each took, and who was right.

Pure: it is told what was read and what time it is, and draws nothing.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import orjson

from demo.figures import Latencies, Rate, percentile

#: Latencies and rates are those of so many latest seconds.
_LATENCY_SECONDS, _RATE_SECONDS = 10, 3.0

#: Flagged payments that are remembered for the screen.
_MOST_FLAGGED = 50


class Place(NamedTuple):
    """Where a record stands in the transactions topic."""

    partition: int
    offset: int


class Incoming(NamedTuple):
    """A record that wants an answer."""

    timestamp_ms: int
    value: bytes | None


class Answer(NamedTuple):
    """A score, or with a `reason` a dead letter, and when it was read."""

    place: Place
    arrived_ms: float
    value: bytes | None
    reason: str | None = None


class Flagged(NamedTuple):
    """A payment above the threshold, and whether it was a fraud indeed.

    Attributes
    ----------
    reasons
        Texts of what raised the score most, the most first.
    """

    event_time: str
    customer: str
    terminal: str
    amount: float
    score: float
    is_fraud: bool
    reasons: tuple[str, ...] = ()


@dataclass(slots=True)
class Counts:
    """Of live traffic. Payments that were sent twice are held against the truth once.

    Attributes
    ----------
    labels
        Frauds that were confirmed.
    caught
        Frauds that were flagged.
    """

    records: int = 0
    labels: int = 0
    scores: int = 0
    dead_letters: int = 0
    frauds: int = 0
    flagged: int = 0
    caught: int = 0

    @property
    def answers(self) -> int:
        """Scores and dead letters."""
        return self.scores + self.dead_letters

    @property
    def precision(self) -> float:
        """The share of the flagged payments that are frauds; nan for none."""
        return self.caught / self.flagged if self.flagged else math.nan

    @property
    def recall(self) -> float:
        """The share of the frauds that were flagged; nan for none."""
        return self.caught / self.frauds if self.frauds else math.nan


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known at a moment.

    Attributes
    ----------
    waiting
        Records that were read and have no answer yet.
    p50_ms, p99_ms
        From a record's timestamp until its answer was read; nan without any.
    event_time
        The latest that was scored: the simulation's clock.
    flagged
        The latest first.
    """

    counts: Counts
    waiting: int
    records_a_second: float
    answers_a_second: float
    p50_ms: float
    p99_ms: float
    event_time: str
    flagged: tuple[Flagged, ...]
    reasons: Mapping[str, int]


def _latest() -> deque[Flagged]:
    return deque(maxlen=_MOST_FLAGGED)


@dataclass(slots=True)
class Tally:
    """Pairs records with their answers, and counts.

    Parameters
    ----------
    frauds
        Ids of the payments that are fraudulent.

    Attributes
    ----------
    live_from_ms
        What has an earlier timestamp is history: answered, but counted apart.
    history, history_labels
        Payments and labels of that.
    """

    frauds: frozenset[str]
    live_from_ms: float = math.inf
    history: int = 0
    history_labels: int = 0
    counts: Counts = field(default_factory=Counts)
    latencies: Latencies = field(default_factory=Latencies)
    _waiting: dict[Place, Incoming] = field(default_factory=dict)
    _early: dict[Place, Answer] = field(default_factory=dict)
    _records: Rate = field(default_factory=lambda: Rate(_RATE_SECONDS))
    _answers: Rate = field(default_factory=lambda: Rate(_RATE_SECONDS))
    _flagged: deque[Flagged] = field(default_factory=_latest)
    _reasons: Counter[str] = field(default_factory=Counter)
    _event_time: str = ""

    @property
    def records(self) -> int:
        """Records that were read, history included."""
        return self.history + self.counts.records

    @property
    def waiting(self) -> int:
        """Records without an answer."""
        return len(self._waiting)

    def take_record(self, place: Place, record: Incoming) -> None:
        """Count a record; its answer may have been read before it."""
        if record.timestamp_ms < self.live_from_ms:
            self.history += 1
        else:
            self.counts.records += 1
        self._waiting[place] = record
        if (answer := self._early.pop(place, None)) is not None:
            self.take_answer(answer)

    def take_label(self, timestamp_ms: int) -> None:
        """Count a label, which nobody answers."""
        if timestamp_ms < self.live_from_ms:
            self.history_labels += 1
        else:
            self.counts.labels += 1

    def take_answer(self, answer: Answer) -> None:
        """Count an answer when its record is known."""
        record = self._waiting.pop(answer.place, None)
        if record is None:
            self._early[answer.place] = answer
        elif record.timestamp_ms >= self.live_from_ms:
            self._count(record, answer)

    @property
    def flagged(self) -> tuple[Flagged, ...]:
        """The latest first."""
        return tuple(reversed(self._flagged))

    def snapshot(self, now: float) -> Snapshot:
        """Return what is known now, in seconds since 1970."""
        took = self.latencies.since(now - _LATENCY_SECONDS)
        return Snapshot(
            counts=replace(self.counts),
            waiting=self.waiting,
            records_a_second=self._records.at(now, self.counts.records),
            answers_a_second=self._answers.at(now, self.counts.answers),
            p50_ms=percentile(took, 0.50),
            p99_ms=percentile(took, 0.99),
            event_time=self._event_time,
            flagged=self.flagged,
            reasons=dict(self._reasons.most_common()),
        )

    def _count(self, record: Incoming, answer: Answer) -> None:
        self.latencies.add(started_ms=record.timestamp_ms, ended_ms=answer.arrived_ms)
        if answer.reason is not None:
            self.counts.dead_letters += 1
            self._reasons[answer.reason] += 1
            return
        self.counts.scores += 1
        score = orjson.loads(answer.value or b"{}")
        self._event_time = max(self._event_time, score["event_time"])
        if "duplicate" not in score.get("flags", ()):
            self._judge(record, score)

    def _judge(self, record: Incoming, score: dict[str, Any]) -> None:
        """Hold a score against the truth."""
        is_fraud = score["transaction_id"] in self.frauds
        self.counts.frauds += is_fraud
        if score["flagged"]:
            self.counts.flagged += 1
            self.counts.caught += is_fraud
            paid = orjson.loads(record.value or b"{}")
            self._flagged.append(
                Flagged(
                    event_time=score["event_time"],
                    customer=paid["customer_id"],
                    terminal=paid["terminal_id"],
                    amount=paid["amount"],
                    score=score["score"],
                    is_fraud=is_fraud,
                    reasons=tuple(r["text"] for r in score.get("reasons", ())),
                )
            )
