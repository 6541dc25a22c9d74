"""Which column is what: the id, the time, whose history it is, the label, the rest.

Owns what becomes of each column, and the reasons. Writes no spec.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from training.draft.profile import MAX_DECIMALS, Profile
from training.draft.search import ENTITY, ID, TIME, find_one
from training.draft.words import (
    AFTERWARDS,
    BIRTH,
    CLOCK,
    LATITUDE,
    LONGITUDE,
    MONEY,
    OTHER_SIDE,
    TRUTH,
    words_of,
)
from worker.errors import InvalidConfig
from worker.records import MAX_MAGNITUDE

#: Values of a category at most; a text with more is no category.
MAX_CATEGORY_VALUES = 100

#: Rows that a value of a category has at least, on average.
_ROWS_OF_CATEGORY = 10

#: Longest text that a field can declare.
_MAX_LENGTH = 4096


@dataclass(frozen=True, slots=True)
class Wishes:
    """Columns that a person has named; None leaves it to the guess."""

    transaction_id: str | None = None
    event_time: str | None = None
    entity: str | None = None
    label: str | None = None


@dataclass(slots=True)
class Roles:
    """What each column is taken for.

    Attributes
    ----------
    others
        Repeating names besides the entity: a second entity may be among them.
    places
        Pairs of latitude and longitude.
    left_out
        Column to the reason why nothing would look at it.
    """

    transaction_id: Profile
    event_time: Profile
    entity: Profile
    label: Profile | None = None
    amount: Profile | None = None
    numbers: list[Profile] = field(default_factory=list)
    categories: list[Profile] = field(default_factory=list)
    others: list[Profile] = field(default_factory=list)
    births: list[Profile] = field(default_factory=list)
    places: list[tuple[Profile, Profile]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def guess_roles(columns: Mapping[str, Profile], wishes: Wishes) -> Roles:
    """Guess what each column is.

    Raises
    ------
    InvalidConfig
        With every problem, where there is no id, no time, or nobody whose history it
        is, or where a person has named a column that cannot be it.
    """
    problems: list[str] = []
    label = _label(columns, wishes, problems)
    free = [p for p in columns.values() if label is None or p.name != label.name]
    identity = find_one(free, ID, wishes.transaction_id, problems)
    rest = [p for p in free if p is not identity]
    time = find_one(rest, TIME, wishes.event_time, problems)
    rest = [p for p in rest if p is not time]
    entity = find_one(rest, ENTITY, wishes.entity, problems)
    if identity is None or time is None or entity is None or problems:
        raise InvalidConfig(problems, subject="data")
    roles = Roles(identity, time, entity, label)
    _sort(roles, [p for p in rest if p is not entity])
    return roles


def _label(
    columns: Mapping[str, Profile], wishes: Wishes, problems: list[str]
) -> Profile | None:
    if wishes.label is not None:
        found = columns.get(wishes.label)
        if found is None:
            problems.append(f"--label {wishes.label}: there is no such column")
        elif not found.is_flag:
            problems.append(
                f"--label {wishes.label}: it is not true and false, or 0, 1"
            )
        return found
    fit = [p for p in columns.values() if p.is_flag and words_of(p.name) & TRUTH]
    return max(fit, key=lambda p: "fraud" in words_of(p.name)) if fit else None


def _sort(roles: Roles, rest: list[Profile]) -> None:
    """Sort the other columns into what they are good for."""
    paired = _places(rest)
    roles.places = paired
    in_places = {p.name for pair in paired for p in pair}
    for p in rest:
        words = words_of(p.name)
        if p.name in in_places:
            continue
        if words & AFTERWARDS:
            roles.left_out[p.name] = "it may be known only afterwards"
        elif reason := _why_useless(p):
            roles.left_out[p.name] = reason
        elif p.kind == "date" and words & BIRTH:
            roles.births.append(p)
        elif p.kind in {"text", "integer"} and words & OTHER_SIDE:
            roles.others.append(p)
        elif p.kind == "text" or (p.kind == "integer" and words & {"mcc", "code"}):
            _sort_text(roles, p)
        elif p.kind in {"integer", "decimal", "boolean"}:
            roles.numbers.append(p)
        else:
            roles.left_out[p.name] = f"no feature is made of a {p.kind} by itself"
    money = [p for p in roles.numbers if words_of(p.name) & MONEY]
    decimals = [p for p in roles.numbers if p.kind == "decimal"]
    roles.amount = next(iter([*money, *decimals]), None)
    roles.numbers = [p for p in roles.numbers if p is not roles.amount]


def _why_useless(p: Profile) -> str:
    if p.kind == "other":
        return "it has no value, or values of several types"
    if p.distinct < 2 and not p.missing:
        return "it has one value only"
    if p.kind == "decimal" and p.decimals > MAX_DECIMALS:
        return f"it has more than {MAX_DECIMALS} decimals; round it to use it"
    largest = MAX_MAGNITUDE / 10 ** max(p.decimals, 2)
    if any(abs(number) > largest for number in p.numbers):
        return f"it has values beyond {largest:,.0f}, too many digits to be exact"
    if p.is_seconds and words_of(p.name) & CLOCK:
        return "it looks like seconds since 1970"
    return f"it is longer than {_MAX_LENGTH}" if p.longest > _MAX_LENGTH else ""


def _sort_text(roles: Roles, p: Profile) -> None:
    if p.distinct <= MAX_CATEGORY_VALUES and p.rows_each >= _ROWS_OF_CATEGORY:
        roles.categories.append(p)
    else:
        roles.left_out[p.name] = f"a text with {p.distinct:,} values is no category"


def _places(columns: list[Profile]) -> list[tuple[Profile, Profile]]:
    """Return latitudes with the longitudes whose names have the same other words."""

    def found(words: set[str], limit: int) -> dict[frozenset[str], Profile]:
        return {
            frozenset(words_of(p.name) - words): p
            for p in columns
            if words_of(p.name) & words
            and p.kind in {"decimal", "integer"}
            and p.decimals <= MAX_DECIMALS
            and all(abs(number) <= limit for number in p.numbers)
        }

    latitudes, longitudes = found(LATITUDE, 90), found(LONGITUDE, 180)
    return [
        (latitude, longitudes[rest])
        for rest, latitude in latitudes.items()
        if rest in longitudes
    ]
