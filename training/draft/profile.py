"""What the values of one column are: their type, their range, how often they repeat."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from training.draft.sample import Sample
from training.draft.words import MONEY, words_of
from worker.codec.times import END_MS, FIRST_MS

Kind = Literal["text", "integer", "decimal", "boolean", "time", "date", "other"]

_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")
_BOOLEAN = re.compile(r"true|false", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?")

#: Decimals that a field can declare.
MAX_DECIMALS = 9

#: As `training.columns` undoes it: units in the last place.
_NOISE_ULPS = 4


@dataclass(frozen=True, slots=True)
class Profile:
    """One column of a sample.

    Attributes
    ----------
    decimals
        That all values of a decimal have; MAX_DECIMALS + 1 where they have more.
    numbers
        The values of an integer or a decimal, without missing ones.
    is_naive
        Whether times have no offset.
    is_seconds
        Whether integers look like seconds since 1970.
    is_written
        Whether money is written as text in a format that has numbers.
    """

    name: str
    kind: Kind
    rows: int
    missing: int
    distinct: int
    example: str
    decimals: int = 0
    numbers: tuple[float, ...] = ()
    longest: int = 0
    is_naive: bool = False
    is_seconds: bool = False
    is_written: bool = False

    @property
    def rows_each(self) -> float:
        """How many rows a value has on average."""
        return (self.rows - self.missing) / max(self.distinct, 1)

    @property
    def is_flag(self) -> bool:
        """Whether it is true or false, perhaps as 1 or 0."""
        return self.kind == "boolean" or (
            self.kind == "integer" and set(self.numbers) <= {0, 1} and self.distinct > 0
        )


def profiles(sample: Sample) -> dict[str, Profile]:
    """Return a profile of each column."""
    is_csv = sample.kind == "csv"
    return {
        name: _profile(name, values, is_csv=is_csv)
        for name, values in sample.columns.items()
    }


def _profile(name: str, values: Sequence[Any], *, is_csv: bool) -> Profile:
    present = [value for value in values if not _is_missing(value)]
    kind = _kind(present, is_csv=is_csv)
    is_written = (
        kind == "text"
        and bool(words_of(name) & MONEY)
        and all(map(_DECIMAL.fullmatch, present))
    )
    if is_written:
        kind = "decimal"
    texts = [str(value) for value in present]
    numbers: tuple[float, ...] = ()
    if kind in {"integer", "decimal"}:
        numbers = tuple(map(float, present))
    elif kind == "boolean":
        numbers = tuple(float(text.lower() == "true") for text in texts)
    is_naive = kind == "time" and any(map(_is_naive, present))
    if kind == "integer" and numbers and _within(numbers, FIRST_MS, END_MS):
        kind = "time"
    return Profile(
        name=name,
        kind=kind,
        rows=len(values),
        missing=len(values) - len(present),
        distinct=len(set(texts)),
        example=texts[0] if texts else "",
        decimals=_decimals(numbers) if kind == "decimal" else 0,
        numbers=numbers,
        longest=max(map(len, texts), default=0),
        is_naive=is_naive,
        is_seconds=kind == "integer"
        and bool(numbers)
        and _within(numbers, FIRST_MS // 1000, END_MS // 1000),
        is_written=is_written,
    )


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _kind(present: Sequence[Any], *, is_csv: bool) -> Kind:
    if not present:
        return "other"
    types = set(map(type, present))
    if types == {str}:
        return _kind_of_texts(present, is_csv=is_csv)
    for kind, allowed in _TYPES:
        if types <= allowed:
            return kind
    # Subclasses, such as the times of a data frame.
    return "time" if all(isinstance(v, dt.datetime) for v in present) else "other"


_TYPES: tuple[tuple[Kind, set[type]], ...] = (
    ("boolean", {bool}),
    ("integer", {int}),
    ("decimal", {int, float, Decimal}),
    ("time", {dt.datetime}),
    ("date", {dt.date}),
)


def _kind_of_texts(texts: Sequence[str], *, is_csv: bool) -> Kind:
    """Tell what is written; where texts are texts, numbers may be names."""

    def all_are(pattern: re.Pattern[str]) -> bool:
        return all(map(pattern.fullmatch, texts))

    found: Kind = "text"
    if all_are(_DATE):
        found = "date"
    elif all_are(_TIME):
        found = "time"
    elif is_csv and all_are(_INTEGER):
        found = "integer"
    elif is_csv and all_are(_DECIMAL):
        found = "decimal"
    elif is_csv and all_are(_BOOLEAN):
        found = "boolean"
    return found


def _is_naive(value: Any) -> bool:
    if isinstance(value, dt.datetime):
        return value.tzinfo is None
    match = _TIME.fullmatch(value)
    return match is not None and match[2] is None


def _within(numbers: Sequence[float], first: float, end: float) -> bool:
    return first <= min(numbers) and max(numbers) < end


def _decimals(numbers: Sequence[float]) -> int:
    """Return how many decimals tell all numbers, but for floating-point noise."""
    decimals = 0
    for number in set(numbers):
        noise = _NOISE_ULPS * math.ulp(number)
        while (
            decimals <= MAX_DECIMALS and abs(number - round(number, decimals)) > noise
        ):
            decimals += 1
    return decimals
