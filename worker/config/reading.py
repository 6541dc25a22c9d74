"""Reads settings from an environment and from flags, and tells all that is wrong.

Knows how settings are declared, not which there are.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from worker.config import client_properties
from worker.config.kinds import Kind, Secret

PREFIX = "FRAUD_"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is known of a setting besides its name and default."""

    kind: Kind
    help: str
    shown_default: str | None = None


Declarations = Mapping[str, Declaration]


def read(
    declarations: Declarations,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
) -> tuple[dict[str, Any], list[str]]:
    """Return the values that were given, by name, and a sentence per problem."""
    problems = list(_unknown(declarations, environ))
    values = dict(_own_values(declarations, environ, overrides, problems))
    passed = _passed_through(environ, overrides, problems)
    values["kafka"] = MappingProxyType(dict(passed))
    return values, problems


def variable(name: str) -> str:
    """Return the variable of a setting: `max_batch` is FRAUD_MAX_BATCH."""
    return PREFIX + name.upper()


def flag(name: str) -> str:
    """Return the flag of a setting: `max_batch` is --max-batch."""
    return "--" + name.replace("_", "-")


def as_text(value: object) -> str:
    """Return a value as a variable would spell it; nothing for None."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _own_values(
    declarations: Declarations,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
    problems: list[str],
) -> Iterator[tuple[str, Any]]:
    """Yield each value that was given and can be read; a flag beats a variable."""
    for name, known in declarations.items():
        place, text = f"{variable(name)}=", environ.get(variable(name), "")
        if overrides.get(name) is not None:
            place, text = f"{flag(name)} ", as_text(overrides[name])
        if not text:
            continue
        try:
            yield name, known.kind.read(text)
        except ValueError:
            problems.append(f"{place}{text[:80]}: expected {known.kind.expectation}")


def _passed_through(
    environ: Mapping[str, str], overrides: Mapping[str, object], problems: list[str]
) -> Iterator[tuple[str, str | Secret]]:
    """Yield the client properties that may be set."""
    given = [
        (key, client_properties.property_of(key), text)
        for key, text in sorted(environ.items())
        if key.startswith(client_properties.PREFIX) and text
    ]
    for key, name, text in given + list(_kafka_flags(overrides, problems)):
        refusal = client_properties.refusal(name)
        if refusal:
            problems.append(f"{key}: {refusal}")
        else:
            yield name, client_properties.hidden(name, text)


def _kafka_flags(
    overrides: Mapping[str, object], problems: list[str]
) -> Iterator[tuple[str, str, str]]:
    pairs = overrides.get("kafka") or ()
    assert isinstance(pairs, Sequence)
    for pair in pairs:
        name, equals, text = str(pair).partition("=")
        name = name.strip().lower()
        if not (name and equals and text):
            problems.append(f"--kafka {name}: expected PROPERTY=VALUE")
        elif client_properties.is_secret(name):
            problems.append(
                f"--kafka {name}: a command line can be read by others; "
                f"set {client_properties.variable_of(name)}"
            )
        else:
            yield f"--kafka {name}", name, text


def _unknown(declarations: Iterable[str], environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a problem for each variable of ours that means nothing."""
    known = [variable(name) for name in declarations]
    for key in sorted(environ):
        if not key.startswith(PREFIX) or key in known:
            continue
        if key.startswith(client_properties.PREFIX) and key != client_properties.PREFIX:
            continue
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        yield f"{key}: no such setting{hint}"
