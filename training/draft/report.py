"""What was guessed, why, and what only a person can know, as lines of text."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from training.draft.features import renamed, used_columns
from training.draft.profile import Profile
from training.draft.roles import Roles
from training.draft.sample import MAX_ROWS, Sample
from training.tables import table_lines


def report_lines(sample: Sample, roles: Roles) -> Iterator[str]:
    """Yield what was looked at, the guesses with their reasons, and what to check."""
    some = "the first " if sample.rows == MAX_ROWS else ""
    yield f"{sample.path}: {some}{sample.rows:,} rows, {len(sample.columns)} columns"
    yield from table_lines(["guess", "column", "because"], list(_guesses(roles)), "<<<")
    for name, reason in roles.left_out.items():
        yield f"  left out: {name}: {reason}"
    yield "check, before you train:"
    yield from (f"  - {sentence}" for sentence in _checks(sample, roles))


def next_command(sample: Sample, roles: Roles, spec: Path) -> str:
    """Return the command that trains on the same file."""
    words = ["fraud-train", "fit", "--spec", str(spec)]
    labels = "LABELS" if roles.label is None else str(sample.path)
    words += ["--transactions", str(sample.path), "--labels", labels]
    for name, column in renamed(roles):
        words += ["--column", f"{name}={column}"]
    return shlex.join([*words, "--out", "models"])


def _guesses(roles: Roles) -> Iterator[tuple[str, str, str]]:
    identity, entity = roles.transaction_id, roles.entity
    yield "transaction id", identity.name, f"{identity.distinct:,} different values"
    yield (
        "event time",
        roles.event_time.name,
        f"a time in every row: {roles.event_time.example}",
    )
    yield (
        "entity",
        entity.name,
        f"{entity.distinct:,} values with {entity.rows_each:,.1f} rows each",
    )
    if roles.label is not None:
        yield "label", roles.label.name, "its name, and two values; it is no field"
    if roles.amount is not None:
        p = roles.amount
        low, high = min(p.numbers), max(p.numbers)
        yield "amount", p.name, f"{p.kind}, {p.decimals} decimals, {low:g} to {high:g}"
    for p in roles.numbers:
        yield "number", p.name, f"a {p.kind}"
    for p in roles.categories:
        yield "category", p.name, f"{p.distinct} values"
    for p in roles.others:
        yield "name", p.name, f"{p.distinct:,} values, and its name"
    for latitude, longitude in roles.places:
        yield "place", f"{latitude.name}, {longitude.name}", "their names and ranges"
    for p in roles.births:
        yield "date of birth", p.name, f"a date, as {p.example}, and its name"


def _checks(sample: Sample, roles: Roles) -> Iterator[str]:
    """Yield what the data cannot tell."""
    entity = roles.entity.name
    yield f"is {entity} the one whose history matters, and the key of your records?"
    if roles.event_time.is_naive:
        where = (
            "without one (2018-07-25T00:00:31Z) every row is refused"
            if sample.kind == "jsonl"
            else "files are read as UTC, but in a stream each time needs one "
            "(2018-07-25T00:00:31Z)"
        )
        yield f"{roles.event_time.name} has no offset: {where}"
    repeated = roles.transaction_id.rows - roles.transaction_id.distinct
    if repeated:
        yield f"{roles.transaction_id.name}: {repeated:,} ids come more than once"
    yield from _amount_checks(roles)
    if roles.label is None:
        yield "no column is a label (fraud, true or false): `fit` needs --labels"
    else:
        yield (
            f"is any field known only after {roles.label.name} is? Leave it out, or "
            "the model learns from the future"
        )
    others = [p.name for p in roles.others]
    if others:
        which = f"{others[0]}" if len(others) == 1 else f"one of {', '.join(others)}"
        yield f"{which} could be a second [[entity]], after the first"
    if len(roles.places) == 1:
        yield "one pair of coordinates makes no distance: there is no second"
    yield from _name_checks(sample, roles)


def _amount_checks(roles: Roles) -> Iterator[str]:
    p = roles.amount
    if p is None:
        yield "no column is an amount: what is paid usually says most about frauds"
    elif p.kind == "integer":
        yield (
            f'{p.name} has whole numbers: if they are cents, add encoding = "minor" to '
            "the field"
        )
    else:
        yield f"{p.name}: excess decimals and amounts beyond the range are refused"


def _name_checks(sample: Sample, roles: Roles) -> Iterator[str]:
    numbers = [p.name for p in _names(roles) if p.kind == "integer"]
    if numbers and sample.kind != "jsonl":
        yield (
            f"{', '.join(numbers)}: declared as text; in a stream of JSON they are "
            'written "596", not 596. Else make the type integer'
        )
    columns = {column for _, column in renamed(roles) if column in sample.columns}
    label = None if roles.label is None else roles.label.name
    for column in sorted(columns - {label}):
        yield f"{column!r} is no name for a field: see --column below"
    optional = [p.name for p in used_columns(roles) if p.missing]
    if optional:
        yield f"{', '.join(optional)}: may be missing, as in the file"


def _names(roles: Roles) -> list[Profile]:
    return [roles.transaction_id, roles.entity, *roles.others, *roles.categories]
