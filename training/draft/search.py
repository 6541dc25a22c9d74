"""The columns without which there is no spec: the id, the time, whose history it is.

Owns what each must be, and which of several is best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from training.draft.profile import Profile
from training.draft.words import (
    AFTERWARDS,
    BIRTH,
    CLOCK,
    EVENT,
    HOLDER,
    MONEY,
    NUMBER,
    OTHER_SIDE,
    words_of,
)

#: Rows that a value of a key has at least, on average.
_ROWS_OF_KEY = 2

#: Share of the rows in which a transaction's id is its own.
_DISTINCT_IDS = 0.999


@dataclass(frozen=True, slots=True)
class Search:
    """How a role is found: what a column must be, and which name is best.

    Attributes
    ----------
    refusal
        Returns why a column cannot be it, or "".
    rank
        Higher is better; below 0 only a person can choose it.
    """

    role: str
    flag: str
    must: str
    refusal: Callable[[Profile], str]
    rank: Callable[[Profile], float]


def _refuse_id(p: Profile) -> str:
    if p.kind not in {"text", "integer"}:
        return f"is a {p.kind}"
    if p.missing:
        return f"is missing in {p.missing:,} rows"
    if p.distinct < _DISTINCT_IDS * p.rows:
        return f"has only {p.distinct:,} values in {p.rows:,} rows"
    return ""


def _refuse_time(p: Profile) -> str:
    if p.is_seconds:
        return "looks like seconds since 1970; make milliseconds of them"
    if p.kind == "date":
        return "has days without a time of day"
    if p.kind != "time":
        return f"is like {p.example!r}; write times as 2018-07-25T00:00:31Z"
    return f"is missing in {p.missing:,} rows" if p.missing else ""


def _refuse_entity(p: Profile) -> str:
    if p.kind not in {"text", "integer"}:
        return f"is a {p.kind}"
    if p.missing:
        return f"is missing in {p.missing:,} rows"
    if p.distinct < 2 or p.rows_each < _ROWS_OF_KEY:
        return f"has {p.distinct:,} values in {p.rows:,} rows, so there is no history"
    return ""


def _rank_id(p: Profile) -> float:
    words = words_of(p.name)
    rank = 2 * bool(words & EVENT) + bool(words & NUMBER)
    is_another = words & (CLOCK | HOLDER | OTHER_SIDE | MONEY | BIRTH)
    return -1 if is_another and rank < 2 else rank


def _rank_time(p: Profile) -> float:
    words = words_of(p.name)
    if words & (BIRTH | AFTERWARDS):
        return -1
    return 2 * bool(words & CLOCK) + bool(words & EVENT)


def _rank_entity(p: Profile) -> float:
    words = words_of(p.name)
    if not words & (HOLDER | OTHER_SIDE) and (words & EVENT or not words & NUMBER):
        return -1
    return 4 * bool(words & HOLDER) + 2 * bool(words & NUMBER) + p.distinct / p.rows


ID = Search(
    "transaction id",
    "--transaction-id",
    "be there in every row and differ in each",
    _refuse_id,
    _rank_id,
)
TIME = Search(
    "event time",
    "--event-time",
    "be a time in every row",
    _refuse_time,
    _rank_time,
)
ENTITY = Search(
    "entity",
    "--entity",
    "name whose history it is, as a customer's or a card's number, and repeat",
    _refuse_entity,
    _rank_entity,
)


def find_one(
    columns: Iterable[Profile], search: Search, wish: str | None, problems: list[str]
) -> Profile | None:
    """Return the column that a person named, or the best one; None with a problem."""
    by_name = {p.name: p for p in columns}
    if wish is not None:
        found = by_name.get(wish)
        refusal = search.refusal(found) if found else "is no column that is left for it"
        if refusal:
            problems.append(f"{search.flag} {wish}: {wish!r} {refusal}")
        return found
    fit = [p for p in by_name.values() if not search.refusal(p) and search.rank(p) >= 0]
    if fit:
        return max(fit, key=search.rank)
    near = sorted(
        (p for p in by_name.values() if search.rank(p) > 0),
        key=search.rank,
        reverse=True,
    )
    hints = "; ".join(f"{p.name!r} {search.refusal(p)}" for p in near[:3])
    problems.append(
        f"no column can be the {search.role}: it must {search.must}"
        + (f" ({hints})" if hints else "")
        + f". Name one with {search.flag}"
    )
    return None
