"""What published answers say of themselves, which decides how to check the rest.

Pure. What cannot be read says nothing; that it is wrong is found where it is compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from worker.audit.pairing import Answers
from worker.codec import DeadLetter, parse_dead_letter
from worker.records import Header


class _Score(msgspec.Struct):
    """The parts of a published score that are read."""

    model_version: str
    flagged: bool = False
    control_group_share: float | None = None


#: What a score holds that a control group decided upon.
_SHARE = b'"control_group_share":'

_decode = msgspec.json.Decoder(_Score).decode


def published_versions(answers: Answers) -> list[str | None]:
    """Return the model version that each answer names, None for one that is garbage."""
    if answers.is_score:
        return [_version(value) for value in answers.values]
    letters = map(dead_letter_of, answers.headers)
    return [None if letter is None else letter.model_version for letter in letters]


def _version(value: bytes | None) -> str | None:
    try:
        return _decode(value or b"").model_version
    except msgspec.MsgspecError:
        return None


def published_flags(answers: Answers) -> NDArray[np.bool_]:
    """(n,) whether each answer says that it is flagged; garbage says nothing."""
    flags = (_flagged(value) for value in answers.values)
    return np.fromiter(flags, np.bool_, len(answers))


def _flagged(value: bytes | None) -> bool:
    try:
        return _decode(value or b"").flagged
    except msgspec.MsgspecError:
        return False


def by_share(
    answers: Answers, at: NDArray[np.intp]
) -> list[tuple[float, NDArray[np.intp]]]:
    """Return each share of the control group that scores name, with those rows.

    Nearly always there is none, which is 0.
    """
    values = [answers.values[row] or b"" for row in at.tolist()]
    shares = np.zeros(len(at))
    for row in [row for row, value in enumerate(values) if _SHARE in value]:
        shares[row] = _share(values[row])
    return [(share, at[shares == share]) for share in np.unique(shares).tolist()]


def published_share(answer: Answers | None) -> float:
    """Return the share of the control group that a single score names; 0 for none."""
    if answer is None or not answer.is_score:
        return 0.0
    return _share(answer.values[0] or b"")


def _share(value: bytes) -> float:
    """Return the share that a score names, 0 for one that can be none."""
    try:
        share = _decode(value).control_group_share or 0.0
    except msgspec.MsgspecError:
        return 0.0
    return share if 0 <= share <= 1 else 0.0


def dead_letter_of(headers: Sequence[Header]) -> DeadLetter | None:
    """Return what headers say of a dead letter, None where they say none."""
    try:
        return parse_dead_letter(headers)
    except ValueError:
        return None
