"""Scores to records of the scores topic.

Owns how a score is rounded, written, and decided upon. Knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from worker.codec.control_group import members
from worker.codec.times import format_times
from worker.errors import BundleRejected
from worker.records import EventBatch, Flag

#: Digits of a published score: what is finer differs between machines for some models.
SCORE_DIGITS = 9


class ScoreReason(msgspec.Struct, gc=False):
    """A feature that raised a score, with its value."""

    feature: Annotated[str, Meta(description="Name of the feature in the spec.")]
    value: Annotated[float | None, Meta(description="null: the value was missing.")]
    contribution: Annotated[
        float,
        Meta(
            description=(
                "By how much it raised the model's raw score, rounded to 6 digits: "
                "log odds, or a probability where the model is a random forest."
            )
        ),
    ]
    text: Annotated[str, Meta(description="Feature and value in words.")]


class Score(msgspec.Struct, gc=False, omit_defaults=True):
    """The answer to one accepted transaction."""

    transaction_id: Annotated[
        str, Meta(min_length=1, description="As the transaction had it; text always.")
    ]
    event_time: Annotated[
        str,
        Meta(
            pattern=(
                r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
                r"(\.[0-9]{3})?Z$"
            ),
            description="RFC 3339 in UTC; milliseconds where they are not 0.",
        ),
    ]
    score: Annotated[
        float,
        Meta(ge=0, le=1, description="Probability of fraud, rounded to 9 digits."),
    ]
    flagged: Annotated[
        bool,
        Meta(
            description=(
                "Whether the score is at least the threshold, and the payment is not "
                "let through as one of the control group."
            )
        ),
    ]
    threshold: float
    model_version: str
    reasons: Annotated[
        list[ScoreReason] | None,
        Meta(
            description=(
                "What raised the score most, the most first; on flagged transactions "
                "only, and on none where the model is of a kind that is not explained."
            )
        ),
    ] = None
    flags: Annotated[
        tuple[Flag, ...],
        Meta(description="What to know about how the score came about; absent: none."),
    ] = ()


class GroupedScore(Score, gc=False, omit_defaults=True):
    """The answer to one accepted transaction."""

    # Apart from the others, which so cost nothing where there is no control group.

    control_group: Annotated[
        bool,
        Meta(
            description=(
                "true: the score is at least the threshold, and the payment is let "
                "through all the same, to learn what becomes of it."
            )
        ),
    ] = False
    control_group_share: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None,
        Meta(
            description=(
                "Share of the payments that are let through like that, on scores of at "
                "least the threshold; absent: 0."
            )
        ),
    ] = None


#: The flags of each combination of late (1), duplicate (2) and incomplete (4).
_COMBINATIONS = [
    tuple(flag for bit, flag in enumerate(Flag) if combination >> bit & 1)
    for combination in range(8)
]


def published_scores(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round scores as they are published.

    >>> published_scores(np.array([0.97310000049, -0.0])).tolist()
    [0.9731, 0.0]
    """
    rounded: NDArray[np.float64] = scores.round(SCORE_DIGITS) + 0.0
    return rounded


class Decisions(NamedTuple):
    """What is decided of n scores.

    Attributes
    ----------
    published
        (n,) float64: the scores, rounded.
    flagged
        (n,) bool.
    control_group
        (n,) bool: those that reach the threshold and are let through; None where no
        payment belongs to the group.
    """

    published: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    control_group: NDArray[np.bool_] | None


class ScoreEncoder:
    """Writes the scores of one model.

    Parameters
    ----------
    threshold
        Compared with the published score, so a reader can check the decision.
    control_group_share
        Of the payments that reach it, the share that is let through unflagged.
    """

    def __init__(
        self, threshold: float, model_version: str, control_group_share: float = 0.0
    ) -> None:
        self.threshold = threshold
        self.model_version = model_version
        self._share = control_group_share
        self._encode_lines = msgspec.json.Encoder().encode_lines

    def decide(
        self, transaction_ids: Sequence[str], scores: NDArray[np.float64]
    ) -> Decisions:
        """Decide upon n scores, not yet rounded."""
        published = published_scores(scores)
        reached = published >= self.threshold
        if not self._share:
            return Decisions(published, reached, None)
        rows = np.flatnonzero(reached).tolist()
        group = np.zeros(len(reached), np.bool_)
        group[rows] = members((transaction_ids[row] for row in rows), self._share)
        return Decisions(published, reached & ~group, group)

    def encode(
        self,
        events: EventBatch,
        decisions: Decisions,
        late: NDArray[np.bool_],
        duplicate: NDArray[np.bool_],
        incomplete: NDArray[np.bool_],
        *,
        reasons: Sequence[list[ScoreReason] | None] | None = None,
    ) -> list[bytes]:
        """Return the n values to be published, in the order of the events.

        The lines of a batch are one large block, which glibc gives back to the system
        each time it is freed unless MALLOC_TRIM_THRESHOLD_ and MALLOC_MMAP_THRESHOLD_
        are raised in the environment.

        Raises
        ------
        BundleRejected
            When a score is no probability; JSON could not even express NaN.
        """
        published = decisions.published
        is_probability = (published >= 0.0) & (published <= 1.0)
        if np.count_nonzero(is_probability) < len(published):
            raise BundleRejected(
                f"model {self.model_version} gave a score outside 0 to 1; "
                "publish another version, or go back to the one before"
            )
        columns = (
            events.transaction_ids,
            format_times(events.event_time_ms),
            published.tolist(),
            decisions.flagged.tolist(),
            repeat(self.threshold),
            repeat(self.model_version),
            repeat(None) if reasons is None else reasons,
            _flags(late, duplicate, incomplete),
        )
        rows = self._rows(columns, decisions)
        # JSON holds no line feed but as an escape.
        lines = self._encode_lines(rows).split(b"\n")
        lines.pop()
        return lines

    def _rows(self, columns: tuple[Any, ...], decisions: Decisions) -> list[Score]:
        group = decisions.control_group
        if group is None:
            return list(map(Score, *columns))
        reached = (decisions.flagged | group).tolist()
        shares = [self._share if is_reached else None for is_reached in reached]
        return list(map(GroupedScore, *columns, group.tolist(), shares))


def _flags(
    late: NDArray[np.bool_], duplicate: NDArray[np.bool_], incomplete: NDArray[np.bool_]
) -> Any:
    if not any(map(np.count_nonzero, (late, duplicate, incomplete))):
        return repeat(())
    combinations = late + 2 * duplicate + 4 * incomplete
    return map(_COMBINATIONS.__getitem__, combinations.tolist())
