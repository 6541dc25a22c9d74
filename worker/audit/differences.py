"""Takes an answer apart that is not as expected, and names what differs in it.

Pure; names only, never a value: what is named may be printed anywhere.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any

from worker.codec import DeadLetter, is_member
from worker.codec.scores import SCORE_DIGITS
from worker.records import Header
from worker.scoring.reasons import DIGITS

#: What rounding to the digits of a published score may add or take away.
_ROUNDING = 0.5 * 10.0**-SCORE_DIGITS

#: The same for a contribution, on either side.
_CONTRIBUTION_ROUNDING = 1.5 * 10.0**-DIGITS

_DECIDED_TOGETHER = (
    *("score", "threshold", "flagged"),
    *("control_group", "control_group_share"),
)

#: What a dead letter says that depends on who wrote it, or on the topic's limit.
_NOT_CONTENT = ("app_version", "model_version", "payload_truncated")


@dataclass(frozen=True, slots=True)
class InForce:
    """What was set for the workers, beside what the bundles say.

    Attributes
    ----------
    thresholds
        In place of the models' own.
    shares
        Of the control group; None believes what each score says of it.
    """

    thresholds: tuple[float, ...] = ()
    shares: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class ScoreRules:
    """How close is close enough.

    Attributes
    ----------
    thresholds
        Those that may have been in force.
    share
        That of the control group by which the score is to be judged.
    tolerance
        By how much a model's scores, before they are rounded, may differ between two
        machines or two batches.
    """

    thresholds: Collection[float]
    tolerance: float
    share: float = 0.0


def score_differences(
    expected: bytes, published: bytes | None, score: float, rules: ScoreRules
) -> list[str]:
    """Return the names of the fields of a score that are wrong.

    Parameters
    ----------
    score
        What the model gives here, not rounded.
    """
    if expected == published:
        return []
    mine, theirs = json.loads(expected), _parsed(published)
    if theirs is None:
        return ["value"]
    if mine == theirs:
        return ["encoding"]
    names = sorted((mine.keys() | theirs.keys()).difference(_DECIDED_TOGETHER))
    wrong = [name for name in names if not _same(mine.get(name), theirs.get(name))]
    decision = _decision_differences(theirs, mine["transaction_id"], score, rules)
    # Reasons follow from the decision: where that is wrong, they are not looked at.
    if "reasons" in wrong and (
        not {"flagged", "control_group"}.isdisjoint(decision)
        or _same_reasons(mine.get("reasons"), theirs.get("reasons"))
    ):
        wrong.remove("reasons")
    return wrong + decision


def _decision_differences(
    theirs: dict[str, Any], transaction_id: str, score: float, rules: ScoreRules
) -> list[str]:
    """Check the score by the model, and the decision by the published score.

    Whoever is in the control group follows from the payment's id and the share alone.
    """
    published = _number(theirs.get("score"))
    threshold = _number(theirs.get("threshold"))
    wrong = []
    is_close = abs(published - score) <= _ROUNDING + rules.tolerance
    if not is_close or round(published, SCORE_DIGITS) != published:
        wrong.append("score")
    if threshold not in rules.thresholds:
        wrong.append("threshold")
    return wrong or _group_differences(
        theirs, transaction_id, rules, is_reached=published >= threshold
    )


def _group_differences(
    theirs: dict[str, Any], transaction_id: str, rules: ScoreRules, *, is_reached: bool
) -> list[str]:
    """Check who is let through: that follows from the payment's id and the share."""
    named = theirs.keys() & {"control_group", "control_group_share"}
    if not is_reached:
        wrong = sorted(named)
        in_group = False
    else:
        share = _number(theirs.get("control_group_share", 0.0))
        # A share of 0 is left out.
        if share != rules.share or bool(share) is not ("control_group_share" in named):
            return ["control_group_share"]
        in_group = is_member(transaction_id, share)
        # What is false is left out.
        is_marked = "control_group" in named
        is_right = is_marked is in_group and theirs.get("control_group", True) is True
        wrong = [] if is_right else ["control_group"]
    if theirs.get("flagged") is not (is_reached and not in_group):
        wrong.append("flagged")
    return wrong


def header_differences(
    expected: Sequence[Header], published: Sequence[Header]
) -> list[str]:
    """Return what is wrong with the headers of a score."""
    if expected == published:
        return []
    mine, theirs = dict(expected), dict(published)
    if [name for name, _ in expected] != [name for name, _ in published]:
        return ["headers"]
    return ["features" if n == "origin" else n for n in mine if mine[n] != theirs[n]]


def dead_letter_differences(
    expected: DeadLetter,
    record: tuple[bytes | None, bytes | None],
    published: tuple[bytes | None, bytes | None],
    letter: DeadLetter,
) -> list[str]:
    """Return what is wrong with a dead letter.

    Parameters
    ----------
    record, published
        Key and value of the rejected record, and of its dead letter.
    letter
        What the published headers say; which program wrote them is not looked at.
    """
    wrong = [
        known.name
        for known in fields(DeadLetter)
        if known.name not in _NOT_CONTENT
        and getattr(expected, known.name) != getattr(letter, known.name)
    ]
    key, value = record
    if published[0] != key and not (letter.payload_truncated and published[0] is None):
        wrong.append("key")
    if published[1] != (None if letter.payload_truncated else value):
        wrong.append("value")
    return wrong


def _same_reasons(mine: object, theirs: object) -> bool:
    """Compare reasons; contributions up to what rounding may add or take away."""
    if not isinstance(mine, list) or not isinstance(theirs, list):
        return False
    return len(mine) == len(theirs) and all(map(_same_reason, mine, theirs))


def _same_reason(mine: dict[str, Any], theirs: object) -> bool:
    if not isinstance(theirs, dict):
        return False
    part, other = mine["contribution"], _number(theirs.get("contribution"))
    is_close = abs(part - other) <= _CONTRIBUTION_ROUNDING
    return is_close and _same({**theirs, "contribution": part}, mine)


def _parsed(value: bytes | None) -> dict[str, Any] | None:
    try:
        parsed = json.loads(value or b"")
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _number(value: object) -> float:
    """Return a number; what is none becomes NaN, which is close to nothing."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return math.nan


def _same(mine: object, theirs: object) -> bool:
    """Tell true from 1, which Python does not."""
    return type(mine) is type(theirs) and mine == theirs
