"""Codes of categories by a vocabulary that training has learnt."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worker.records import MISSING, Column


class CategoryCodes:
    """Turns the values of a field into codes.

    A value's code is its place in the vocabulary. All others have one code, that after
    the last, so that to a tree the unknown is next to the rarest. Missing ones are NaN.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._unknown = float(len(vocabulary))
        self._codes: dict[str | None, float] = {
            value: float(code) for code, value in enumerate(vocabulary)
        }
        self._codes[None] = math.nan

    def column(self, values: Column) -> NDArray[np.float64]:
        """Return the codes of n texts, or integers, as (n,) float64."""
        texts = category_texts(values)
        codes, unknown = self._codes, self._unknown
        return np.array([codes.get(text, unknown) for text in texts], np.float64)


def category_texts(values: Column) -> list[str | None]:
    """Return categories as texts; an integer as that of its digits."""
    if not isinstance(values, np.ndarray):
        return values
    return [None if value == MISSING else str(value) for value in values.tolist()]
