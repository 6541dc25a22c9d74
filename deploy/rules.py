"""A rule of Prometheus, and the text of a file of rules.

Owns the times in the rules: all of them stretch by one factor, so that what takes hours
in operation can be shown in minutes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

#: Milliseconds in each unit of a time.
_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

_TIME = re.compile(r"(\d+)([smhd])")

#: Turns a time as people write it into one that Prometheus reads.
Clock = Callable[[str], str]


def real_time(time: str) -> str:
    """Return the time as it is."""
    return time


def faster(factor: int) -> Clock:
    """Return a clock on which everything takes so many times less.

    >>> faster(60)("1h"), faster(60)("15m"), faster(60)("1m")
    ('60000ms', '15000ms', '1000ms')
    """
    return lambda time: f"{max(1, round(milliseconds(time) / factor))}ms"


def milliseconds(time: str) -> int:
    """Return a time of one unit in milliseconds; raises ValueError for another text."""
    found = _TIME.fullmatch(time)
    if found is None:
        raise ValueError(f"{time!r} is no time such as 15m")
    return int(found[1]) * _UNITS[found[2]]


@dataclass(frozen=True, slots=True)
class Recording:
    """A rule that keeps the result of an expression as a series."""

    record: str
    expr: str


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule that asks for a person.

    Attributes
    ----------
    hold
        How long the expression must hold; None fires at once.
    keep
        How long it goes on firing when the expression no longer holds.
    severity
        page: now, ticket: within the day.
    """

    name: str
    expr: str
    severity: str
    summary: str
    hold: str | None = None
    keep: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def runbook(self) -> str:
        """Where it is told what to do."""
        return f"docs/runbook.md#{self.name.lower()}"


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated together, in their order."""

    name: str
    interval: str
    rules: tuple[Recording | Alert, ...]


def rules_text(groups: Iterable[Group], clock: Clock = real_time) -> str:
    """Return a file of rules; times outside of expressions go through the clock."""
    lines = ["# Made by `python -m deploy`; change it there.", "groups:"]
    for group in groups:
        lines += [
            f"  - name: {group.name}",
            f"    interval: {clock(group.interval)}",
            "    rules:",
        ]
        for rule in group.rules:
            fields = (
                _alert(rule, clock) if isinstance(rule, Alert) else _recording(rule)
            )
            lines += [
                f"      {'-' if first else ' '} {line}" if line else ""
                for first, line in zip(_first(), fields, strict=False)
            ]
    return "\n".join(lines) + "\n"


def _first() -> Iterator[bool]:
    yield True
    while True:
        yield False


def _recording(rule: Recording) -> Iterator[str]:
    yield f"record: {rule.record}"
    yield from _block("expr", rule.expr)


def _alert(rule: Alert, clock: Clock) -> Iterator[str]:
    yield f"alert: {rule.name}"
    yield from _block("expr", rule.expr)
    if rule.hold is not None:
        yield f"for: {clock(rule.hold)}"
    if rule.keep is not None:
        yield f"keep_firing_for: {clock(rule.keep)}"
    yield "labels:"
    for name, value in {"severity": rule.severity, **rule.labels}.items():
        yield f"  {name}: {json.dumps(value)}"
    yield "annotations:"
    yield f"  summary: {json.dumps(rule.summary)}"
    yield f"  runbook: {rule.runbook}"


def _block(name: str, text: str) -> Iterator[str]:
    yield f"{name}: |"
    yield from (f"  {line}" for line in text.strip().splitlines())
