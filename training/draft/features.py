"""The text of a drafted spec: fields, then features, with comments for its reader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from training.draft.profile import Profile
from training.draft.roles import Roles

_NOT_PLAIN = re.compile(r"[^\w.-]+", re.ASCII)

#: Steps of an amount's coarse copy: as many values as a histogram keeps apart.
_TAIL_STEPS = 200

_HEAD = """\
# Drafted by `fraud-train init` from {file}: each line is a guess, yours to change.
# Fields are what an event must or may hold; what is not named here is ignored.
format = 1
name = {name}
# An event older than that behind the newest one is scored, and not remembered.
allowed_lateness = "1d"
max_ahead = "5m"
# Hours and days are counted in this zone, as Europe/Brussels.
time_zone = "UTC"

[event]
transaction_id = {transaction_id}
event_time = {event_time}

# Whose history is remembered; records of the stream have it as their key.
[[entity]]
name = {entity}
key = {key}
"""


def field_name(column: str) -> str:
    """Return the name of a column's field: the same, where that is a plain one.

    >>> field_name("amount"), field_name("Amount (EUR)")
    ('amount', 'Amount_EUR')
    """
    return _NOT_PLAIN.sub("_", column).strip("_")[:64] or "column"


def entity_name(column: str) -> str:
    """Return what a key's features are named after.

    >>> entity_name("customer_id"), entity_name("cc_num"), entity_name("ACCOUNT_ID")
    ('customer', 'cc', 'account')
    """
    return re.sub(r"[_.-]?(id|num|number|no)$", "", field_name(column).lower()) or "key"


def field_names(roles: Roles) -> dict[str, str]:
    """Return the field of each column that is used, no two the same."""
    names: dict[str, str] = {}
    for p in used_columns(roles):
        name, number = field_name(p.name), 1
        while name in names.values():
            number += 1
            name = f"{field_name(p.name)}_{number}"
        names[p.name] = name
    return names


def used_columns(roles: Roles) -> list[Profile]:
    """Return the columns that become fields, those that identify first."""
    amount = [] if roles.amount is None else [roles.amount]
    places = [p for pair in roles.places for p in pair]
    return [
        roles.transaction_id, roles.event_time, roles.entity, *roles.others, *amount,
        *roles.numbers, *roles.categories, *places, *roles.births,
    ]  # fmt: skip


def draft_toml(roles: Roles, *, name: str, file: str, is_json: bool) -> str:
    """Write the spec; it is read by `Spec.from_toml` as it stands.

    Parameters
    ----------
    is_json
        Ids that are numbers stay numbers then, as in the stream that looks like this
        file; from other formats they become texts.
    """
    entity, names = entity_name(roles.entity.name), field_names(roles)
    head = _HEAD.format(
        file=repr(file),
        name=_quoted(field_name(name)),
        transaction_id=_quoted(names[roles.transaction_id.name]),
        event_time=_quoted(names[roles.event_time.name]),
        entity=_quoted(entity),
        key=_quoted(names[roles.entity.name]),
    )
    fields = (
        _table("field", facts) for facts in _fields(roles, names, is_json=is_json)
    )
    features = _Features(roles, entity, names).tables()
    return "\n".join([head, *fields, *features])


def _quoted(text: str) -> str:
    return json.dumps(text)


def _table(kind: str, facts: Mapping[str, object], comment: str = "") -> str:
    lines = [f"# {comment}"] if comment else []
    lines.append(f"[[{kind}]]")
    lines += [f"{key} = {json.dumps(value)}" for key, value in facts.items()]
    return "\n".join(lines) + "\n"


def _fields(
    roles: Roles, fields: Mapping[str, str], *, is_json: bool
) -> Iterator[dict[str, object]]:
    """Yield a field for each column that is used."""
    names = [roles.transaction_id, roles.entity, *roles.others, *roles.categories]
    limits = {p.name: (-90, 90) for p, _ in roles.places}
    limits.update({p.name: (-180, 180) for _, p in roles.places})
    for p in used_columns(roles):
        facts: dict[str, object] = {"name": fields[p.name]}
        if p in names and not (is_json and p.kind == "integer"):
            facts["type"] = "text"
            if p.longest > 64:
                facts["max_length"] = min(2 * p.longest, 4096)
        elif p.kind == "decimal" or p.name in limits or p is roles.amount:
            facts["type"] = "decimal"
            facts["decimals"] = _decimals_of(p, roles)
            if p.is_written:
                facts["encoding"] = "text"
        else:
            facts["type"] = p.kind
        if p.missing:
            facts["required"] = False
        if p.name in limits:
            facts["minimum"], facts["maximum"] = limits[p.name]
        elif p is roles.amount:
            facts.update(_amount_range(p))
        yield facts


def _decimals_of(p: Profile, roles: Roles) -> int:
    """Money has cents, even where a sample has none."""
    return max(p.decimals, 2) if p is roles.amount else p.decimals


def _amount_range(p: Profile) -> dict[str, object]:
    """Leave room above what was seen: a wrong unit is refused, a large amount not."""
    largest = max(map(abs, p.numbers), default=1.0)
    room = int(10 ** (np.ceil(np.log10(max(largest, 1.0))) + 2))
    limit = 10**12 // 10 ** max(p.decimals, 2)
    least = 0 if min(p.numbers, default=0.0) >= 0 else -min(room, limit)
    return {"minimum": least, "maximum": min(room, limit)}


class _Features:
    """Writes the features, each under a name that no other has."""

    def __init__(self, roles: Roles, entity: str, fields: Mapping[str, str]) -> None:
        self._roles = roles
        self._entity = entity
        self._fields = fields
        self._taken = set(fields.values())

    def tables(self) -> Iterator[str]:
        """Yield the tables in an order in which each refers to earlier ones."""
        yield from self._of_the_event()
        yield from self._of_the_entity()

    def _named(self, name: str, suffixes: Sequence[str] = ("",)) -> str:
        """Return a name that is free, also with what windows append to it."""
        while any(f"{name}{suffix}" in self._taken for suffix in suffixes):
            name = f"{name}_feature"
        self._taken.update(f"{name}{suffix}" for suffix in suffixes)
        return name

    def _of_the_event(self) -> Iterator[str]:
        amount = self._roles.amount
        if amount is not None:
            yield self._plain(amount)
            yield from self._tail(amount)
        for p in self._roles.numbers:
            yield self._plain(p)
        for part in ("hour", "weekend", "night"):
            yield _table("feature", {"name": self._named(part), "calendar": part})
        for p in self._roles.categories:
            facts = {"name": self._fields[p.name], "category": self._fields[p.name]}
            yield _table("feature", facts, "Its values are learnt by `fit`.")
        for p in self._roles.births:
            yield _table(
                "feature", {"name": self._named("age"), "age": self._fields[p.name]}
            )
        if len(self._roles.places) >= 2:
            places = [
                [self._fields[p.name] for p in pair] for pair in self._roles.places
            ]
            name = self._named("distance")
            distance = {"name": name, "distance": places[:2], "decimals": 1}
            yield _table("feature", distance, "In kilometres.")

    def _plain(self, p: Profile) -> str:
        return _table(
            "feature", {"name": self._fields[p.name], "field": self._fields[p.name]}
        )

    def _tail(self, amount: Profile) -> Iterator[str]:
        """A coarse copy of large amounts, which a histogram would put into one bin."""
        low, high = np.quantile(np.array(amount.numbers), [0.9, 0.9999]).tolist()
        step = float(f"{(high - low) / _TAIL_STEPS:.1g}")
        if step > 0:
            facts = {
                "name": self._named(f"{self._fields[amount.name]}_tail"),
                "field": self._fields[amount.name],
                "clip": [float(f"{low:.3g}"), float(f"{high:.3g}")],
                "round_to": step,
            }
            yield _table("feature", facts, "Keeps large amounts apart for the trees.")

    def _window(self, name: str, statistic: str, **facts: object) -> str:
        common = {"name": name, "entity": self._entity, "statistic": statistic}
        return _table("feature", {**common, **facts})

    def _windows(
        self, what: str, statistic: str, windows: list[str], **facts: object
    ) -> tuple[str, str]:
        """Return the name and the table of a feature over several windows."""
        suffixes = [f"_{window}" for window in windows]
        name = self._named(f"{self._entity}_{what}", suffixes)
        return name, self._window(name, statistic, **facts, windows=windows)

    def _of_the_entity(self) -> Iterator[str]:
        windows, entity = ["1d", "7d", "30d"], self._entity
        yield self._windows("transaction_count", "count", windows)[1]
        name = self._named(f"{entity}_seconds_since_last")
        yield self._window(name, "seconds_since_last", window="30d")
        for p in self._roles.others:
            what, of = f"{entity_name(p.name)}_count", self._fields[p.name]
            yield self._windows(what, "distinct", ["1d", "7d"], of=of)[1]
        if self._roles.amount is None:
            return
        amount = self._fields[self._roles.amount.name]
        mean, table = self._windows("amount_mean", "mean", windows, of=amount)
        yield table
        before = {"of": amount, "include_current": False, "window": "30d"}
        yield self._window(self._named(f"{entity}_amount_max_before"), "max", **before)
        ratio = {"name": self._named("amount_ratio"), "ratio": [amount, f"{mean}_30d"]}
        yield _table(
            "feature",
            {**ratio, "decimals": 2},
            "How unusual the amount is for this one.",
        )


def renamed(roles: Roles) -> list[tuple[str, str]]:
    """Return field and column of those that a spec cannot call as the file does."""
    pairs = [(name, column) for column, name in field_names(roles).items()]
    if roles.label is not None:
        pairs.append(("fraud", roles.label.name))
    return [(name, column) for name, column in pairs if name != column]
