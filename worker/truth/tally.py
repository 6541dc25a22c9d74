"""What has been counted: whole numbers only, so that no order of adding matters.

Owns the text that is kept with a commit. It must stay below 4096 bytes, the broker's
limit for what is committed beside an offset; so few models are remembered at a time.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.codec.score_reader import SCORE_UNITS
from worker.errors import StateUnusable
from worker.metrics import DELAY_EDGES

#: Bins of the score.
BIN_COUNT = 50

#: Lower edge of each bin but the first, in units: equal steps of log odds from 0.00012
#: to 0.9975. Nearly all payments score below 0.02, the first of 50 equal bins: with
#: those the error of the AUC is bounded by 0.098 only, with these by 0.020 (400,000
#: payments of the Handbook, the shipped model; the error itself is 0.0006).
EDGE_UNITS = np.rint(
    SCORE_UNITS / (1 + np.exp(-np.linspace(-9, 6, BIN_COUNT - 1)))
).astype(np.int64)

#: What a label says of a payment, by column.
LABELS = ("genuine", "fraud")

#: What became of a payment, by row. Those of the control group were let pass although
#: the model would have flagged them.
DECISIONS = ("flagged", "passed", "control")

#: Models whose counts are kept; of more, the one that was judged longest ago goes.
MAX_MODELS = 3

#: What became of the scores that were read: in a judged cohort, counted before,
#: came after their cohort was judged, not readable.
SCORE_OUTCOMES = ("judged", "repeated", "late", "malformed")

#: Why a label changed nothing, beside being late: no payment of its cohort has its id,
#: a later label of the same payment replaced it, or it is none.
UNMATCHED = ("unknown", "repeated", "malformed")

_FORMAT = 1


@dataclass(slots=True)
class ModelTally:
    """The judged payments of one model.

    Attributes
    ----------
    bins
        (BIN_COUNT, labels) int64, payments by bin of the score and by label.
    decisions
        (decisions, labels) int64, the same payments by what became of them.
    score_units
        (decisions,) int64, sums of their scores in units of 1 / SCORE_UNITS.
    """

    bins: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((BIN_COUNT, len(LABELS)), np.int64)
    )
    decisions: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((len(DECISIONS), len(LABELS)), np.int64)
    )
    score_units: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(len(DECISIONS), np.int64)
    )

    @property
    def frauds_above(self) -> NDArray[np.int64]:
        """(BIN_COUNT,) frauds in higher bins: PromQL cannot add up over a label."""
        frauds = self.bins[:, LABELS.index("fraud")]
        above: NDArray[np.int64] = frauds.sum() - np.cumsum(frauds)
        return above

    def count(
        self,
        units: NDArray[np.int64],
        decisions: NDArray[np.int64],
        fraud: NDArray[np.bool_],
    ) -> None:
        """Add n judged payments: scores in units, rows of `decisions`, labels."""
        bins = np.searchsorted(EDGE_UNITS, units, side="right")
        label = fraud.astype(np.int64)
        np.add.at(self.bins, (bins, label), 1)
        np.add.at(self.decisions, (decisions, label), 1)
        np.add.at(self.score_units, decisions, units)

    def to_list(self) -> list[int]:
        """Return all numbers, one after the other."""
        parts = (self.bins, self.decisions, self.score_units)
        return [number for part in parts for number in part.ravel().tolist()]

    @classmethod
    def from_list(cls, numbers: list[int]) -> ModelTally:
        """Read what `to_list` returned; raises ValueError for another length."""
        tally, at = cls(), 0
        for part in (tally.bins, tally.decisions, tally.score_units):
            part.ravel()[:] = numbers[at : at + part.size]
            at += part.size
        if at != len(numbers):
            raise ValueError(f"{len(numbers)} numbers instead of {at}")
        return tally


@dataclass(slots=True)
class Tally:
    """Everything that was counted since the group began.

    Attributes
    ----------
    judged_until_ms
        The horizon: cohorts that ended by this event time have been judged; None
        before the first.
    models
        By version, the one that was judged last at the end.
    scores, unmatched
        Records by `SCORE_OUTCOMES` and by `UNMATCHED`.
    late_labels
        Labels that came, or became known, after their payment was mature.
    matched
        (labels,) int64, labels that decided about a payment.
    delays
        (DELAY_EDGES + 1,) int64, frauds by how long their label took.
    delay_ms
        Sum of these times.
    """

    judged_until_ms: int | None = None
    models: dict[str, ModelTally] = field(default_factory=dict)
    scores: Counter[str] = field(default_factory=Counter)
    unmatched: Counter[str] = field(default_factory=Counter)
    late_labels: int = 0
    matched: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(len(LABELS), np.int64)
    )
    delays: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(len(DELAY_EDGES) + 1, np.int64)
    )
    delay_ms: int = 0

    def model(self, version: str) -> ModelTally:
        """Return the counts of a model, which is now the one that was judged last."""
        self.models[version] = self.models.pop(version, ModelTally())
        for oldest in list(self.models)[:-MAX_MODELS]:
            del self.models[oldest]
        return self.models[version]

    def count_labels(
        self, fraud: NDArray[np.bool_], delays_ms: NDArray[np.int64]
    ) -> None:
        """Add n labels that decided about a payment."""
        self.matched += np.bincount(fraud.astype(np.int64), minlength=len(LABELS))
        of_frauds = delays_ms[fraud]
        slots = np.searchsorted(DELAY_EDGES, of_frauds / 1000, side="left")
        self.delays += np.bincount(slots, minlength=len(self.delays))
        self.delay_ms += int(of_frauds.sum())

    def to_text(self) -> str:
        """Return the one way to write it: letters, digits and signs of ASCII."""
        document = {
            "format": _FORMAT,
            "until": self.judged_until_ms,
            "models": {v: of.to_list() for v, of in self.models.items()},
            "scores": self.scores,
            "unmatched": self.unmatched,
            "late": self.late_labels,
            "matched": self.matched.tolist(),
            "delays": [*self.delays.tolist(), self.delay_ms],
        }
        text = json.dumps(document, separators=(",", ":"))
        return base64.b85encode(zlib.compress(text.encode(), 9)).decode()

    @classmethod
    def from_text(cls, text: str) -> Tally:
        """Read what `to_text` wrote.

        Raises
        ------
        StateUnusable
            It is anything else.
        """
        try:
            document = json.loads(zlib.decompress(base64.b85decode(text)))
            if document["format"] != _FORMAT:
                raise ValueError(f"format {document['format']}")  # noqa: TRY301
            return cls._from_document(document)
        except (ValueError, KeyError, TypeError, zlib.error, binascii.Error) as error:
            raise StateUnusable(
                "what was counted before cannot be read: it was committed by another "
                f"version ({error}). Delete the group of `fraud-worker truth` to count "
                "anew; Prometheus then sees counters that begin again"
            ) from error

    @classmethod
    def _from_document(cls, document: Any) -> Tally:
        *delays, delay_ms = document["delays"]
        return cls(
            judged_until_ms=document["until"],
            models={
                version: ModelTally.from_list(numbers)
                for version, numbers in document["models"].items()
            },
            scores=Counter(document["scores"]),
            unmatched=Counter(document["unmatched"]),
            late_labels=int(document["late"]),
            matched=np.array(document["matched"], np.int64),
            delays=np.array(delays, np.int64),
            delay_ms=int(delay_ms),
        )
