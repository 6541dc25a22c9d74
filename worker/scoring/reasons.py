"""Reasons of scores: the features that raised one most, with values and in words.

Owns which contributions are worth naming. Costs nothing for what is not flagged.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.codec import ScoreReason
from worker.features import Spec
from worker.scoring.explain import Contributions, Unit, explain
from worker.scoring.values import writer
from worker.scoring.words import brief_phrase

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: How many features are named on a flagged transaction.
LIMIT = 3

#: Digits of a published contribution: what is finer differs between machines.
DIGITS = 6


class Reasons:
    """Gives the reasons of one model's scores.

    Parameters
    ----------
    is_in_full
        Explain all scores, and name all that raised or lowered them.

    Attributes
    ----------
    contributions
        What takes the raw scores apart.
    unit
        What contributions count in.
    """

    def __init__(
        self,
        contributions: Contributions,
        unit: Unit,
        spec: Spec,
        *,
        is_in_full: bool = False,
    ):
        self.contributions = contributions
        self.unit = unit
        self._spec = spec
        self._is_in_full = is_in_full
        outputs = [feature for feature in spec.features if feature.output]
        self._names = [feature.name for feature in outputs]
        self._phrases = [brief_phrase(feature, spec) for feature in outputs]
        self._writers = [writer(feature, spec) for feature in outputs]

    @classmethod
    def of_model(cls, model: Any, spec: Spec) -> Reasons | None:
        """Return the reasons of a model, None for a kind that is not explained."""
        found = explain(model)
        return None if found is None else cls(*found, spec)

    def in_full(self) -> Reasons:
        """Return the same, for all scores and with all contributions."""
        return Reasons(self.contributions, self.unit, self._spec, is_in_full=True)

    def of_scores(self, X: Floats, flagged: Bools) -> list[list[ScoreReason] | None]:
        """Return what raised each flagged score, the most first; None for the others.

        At most `LIMIT` reasons; a feature that lowered the score is none.

        Parameters
        ----------
        X
            (n, n_features) float64.
        flagged
            (n,) bool.
        """
        found: list[list[ScoreReason] | None] = [None] * len(X)
        explained = flagged | self._is_in_full
        if not np.count_nonzero(explained):
            return found
        rows = np.flatnonzero(explained)
        values = X[rows]
        parts = np.round(self.contributions.of(values), DIGITS)
        for i, row in enumerate(rows.tolist()):
            found[row] = self._reasons(values[i], parts[i])
        return found

    def _reasons(self, values: Floats, parts: Floats) -> list[ScoreReason]:
        if self._is_in_full:
            ranking = np.argsort(-np.abs(parts), kind="stable")
            columns = ranking[parts[ranking] != 0]
        else:
            ranking = np.argsort(-parts, kind="stable")[:LIMIT]
            columns = ranking[parts[ranking] > 0]
        return [self._reason(j, values[j], parts[j]) for j in columns.tolist()]

    def _reason(self, column: int, value: float, part: float) -> ScoreReason:
        number = float(value)
        return ScoreReason(
            feature=self._names[column],
            value=None if math.isnan(number) else number,
            contribution=float(part),
            text=f"{self._phrases[column]}: {self._writers[column](number)}",
        )
