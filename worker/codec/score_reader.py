"""Records of the scores topic, read back: what was said of which payment.

Owns which fields of a score others may rely on. Knows no topic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from worker.codec.scores import SCORE_DIGITS
from worker.codec.times import parse_times
from worker.records import Flag

#: Published scores are whole multiples of one over this.
SCORE_UNITS = 10**SCORE_DIGITS


class _Said(msgspec.Struct, gc=False):
    transaction_id: Annotated[str, Meta(min_length=1)]
    event_time: str
    score: Annotated[float, Meta(ge=0, le=1)]
    flagged: bool
    model_version: Annotated[str, Meta(min_length=1)]
    flags: tuple[str, ...] = ()
    #: The model would have flagged it, and it was let pass so that its label is not
    #: a consequence of the flag.
    control_group: bool = False


@dataclass(frozen=True, slots=True)
class ScoreColumns:
    """The n scores among some records.

    Attributes
    ----------
    rows
        (n,) their positions among the records; the others are no scores.
    units
        (n,) int64, the published score in units of 1 / `SCORE_UNITS`: exact.
    """

    rows: NDArray[np.int64]
    transaction_ids: list[str]
    event_time_ms: NDArray[np.int64]
    units: NDArray[np.int64]
    flagged: NDArray[np.bool_]
    duplicate: NDArray[np.bool_]
    control_group: NDArray[np.bool_]
    model_versions: list[str]


_DECODE = msgspec.json.Decoder(_Said).decode


def read_scores(values: Sequence[bytes | None]) -> ScoreColumns:
    """Read the values of n records; what is no score is left out."""
    said, rows = [], []
    for row, value in enumerate(values):
        try:
            said.append(_DECODE(value or b""))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            continue
        rows.append(row)
    times, codes = parse_times([each.event_time for each in said])
    if codes is not None:
        good = np.flatnonzero(codes == 0)
        said, times = [said[i] for i in good.tolist()], times[good]
        rows = [rows[i] for i in good.tolist()]
    scores = np.array([each.score for each in said], np.float64)
    return ScoreColumns(
        rows=np.array(rows, np.int64),
        transaction_ids=[each.transaction_id for each in said],
        event_time_ms=times,
        units=np.rint(scores * SCORE_UNITS).astype(np.int64),
        flagged=np.array([each.flagged for each in said], np.bool_),
        duplicate=np.array([Flag.DUPLICATE in each.flags for each in said], np.bool_),
        control_group=np.array([each.control_group for each in said], np.bool_),
        model_versions=[each.model_version for each in said],
    )
