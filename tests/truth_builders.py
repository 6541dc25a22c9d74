"""Scores and labels as their topics hold them, and what must be counted of them.

The oracle here is slow and plain: dictionaries, one payment at a time.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tests.small_models import ONE_ENTITY
from worker.codec import format_times
from worker.features import Spec
from worker.records import RecordBatch, TopicPartition
from worker.truth.cohorts import STEP_MS
from worker.truth.join import Maturity
from worker.truth.tally import EDGE_UNITS, Tally

HOUR_MS, DAY_MS = 3_600_000, 86_400_000

#: A Wednesday at midnight.
BEGIN_MS = 1_532_476_800_000

WEEK = Maturity(label_ms=7 * DAY_MS, grace_ms=DAY_MS)

SCHEMA = Spec.from_toml(ONE_ENTITY).schema


class Scored(NamedTuple):
    """A score that was published."""

    id: str
    time_ms: int
    score: float
    is_flagged: bool
    version: str = "m"
    is_control: bool = False
    is_duplicate: bool = False

    @property
    def value(self) -> bytes:
        """The record's value."""
        fields = {
            "transaction_id": self.id,
            "event_time": format_times(np.array([self.time_ms]))[0],
            "score": self.score,
            "flagged": self.is_flagged,
            "threshold": 0.5,
            "model_version": self.version,
        }
        if self.is_duplicate:
            fields["flags"] = ["duplicate"]
        if self.is_control:
            fields["control_group"] = True
        return json.dumps(fields).encode()

    @property
    def decision(self) -> str:
        """What became of the payment."""
        if self.is_control:
            return "control"
        return "flagged" if self.is_flagged else "passed"


class Label(NamedTuple):
    """A label that was published."""

    id: str
    time_ms: int
    is_fraud: bool
    known_ms: int

    @property
    def value(self) -> bytes:
        """The record's value."""
        fields = {"transaction_id": self.id, "event_time": self.time_ms}
        said = {"fraud": self.is_fraud, "label_time": self.known_ms}
        return json.dumps({**fields, **said}).encode()


def batch_of(
    place: TopicPartition, offsets: Sequence[int], values: Sequence[bytes | None]
) -> RecordBatch:
    """Return records of one partition, without keys and timestamps."""
    n = len(offsets)
    return RecordBatch(
        topics=[place.topic] * n,
        partitions=[place.partition] * n,
        offsets=list(offsets),
        timestamps_ms=[-1] * n,
        keys=[None] * n,
        values=list(values),
    )


@dataclass
class Truth:
    """Payments by bin, or decision, and label, of each model; and sums of scores."""

    bins: Counter[tuple[str, int, bool]] = field(default_factory=Counter)
    decisions: Counter[tuple[str, str, bool]] = field(default_factory=Counter)
    units: Counter[tuple[str, str]] = field(default_factory=Counter)
    scores: list[float] = field(default_factory=list)
    fraud: list[bool] = field(default_factory=list)
    flagged: list[bool] = field(default_factory=list)


def truth_of(
    scores: Iterable[Scored],
    labels: Iterable[Label],
    *,
    until_ms: int,
    maturity: Maturity = WEEK,
) -> Truth:
    """Return what is true of all payments of cohorts that ended by `until_ms`.

    Scores and labels come in the order of their logs.
    """
    first: dict[tuple[str, int], Scored] = {}
    for scored in scores:
        first.setdefault((scored.id, scored.time_ms), scored)
    last: dict[tuple[str, int], Label] = {}
    for label in labels:
        if label.known_ms - label.time_ms <= maturity.label_ms:
            last[label.id, label.time_ms] = label
    truth = Truth()
    for identity, scored in first.items():
        if (scored.time_ms // STEP_MS + 1) * STEP_MS > until_ms:
            continue
        is_fraud = identity in last and last[identity].is_fraud
        _add(truth, scored, is_fraud=is_fraud)
    return truth


def _add(truth: Truth, scored: Scored, *, is_fraud: bool) -> None:
    units = round(scored.score * 10**9)
    slot = sum(units >= edge for edge in EDGE_UNITS.tolist())
    truth.bins[scored.version, slot, is_fraud] += 1
    truth.decisions[scored.version, scored.decision, is_fraud] += 1
    truth.units[scored.version, scored.decision] += units
    truth.scores.append(scored.score)
    truth.fraud.append(is_fraud)
    truth.flagged.append(scored.decision == "flagged")


def told_by(tally: Tally) -> Truth:
    """Return what a tally says, in the same terms."""
    told = Truth()
    for version, model in tally.models.items():
        for (slot, column), count in np.ndenumerate(model.bins):
            told.bins[version, slot, column == 1] += int(count)
        for row, decision in enumerate(("flagged", "passed", "control")):
            for column in (0, 1):
                found = int(model.decisions[row, column])
                told.decisions[version, decision, column == 1] += found
            told.units[version, decision] += int(model.score_units[row])
    return told


def counts(truth: Truth) -> Mapping[str, Counter[object]]:
    """Return what can be compared, without zeros."""
    return {
        name: Counter({k: n for k, n in getattr(truth, name).items() if n})
        for name in ("bins", "decisions", "units")
    }
