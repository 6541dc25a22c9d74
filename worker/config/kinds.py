"""How the text of a setting becomes a value, and what is said where it cannot.

Knows no setting by name; settings.py declares those.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

_Number = TypeVar("_Number", int, float)
_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")


class Secret:
    """A text that shows itself only when asked to.

    >>> print(Secret("hunter2"), repr(Secret("hunter2")))
    ****** Secret('******')
    """

    __slots__ = ("_text",)

    def __init__(self, text: str):
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __str__(self) -> str:
        return "******"

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to read a text.

    `read` raises ValueError where the text does not meet the `expectation`, which
    completes the words "expected …".
    """

    expectation: str
    metavar: str
    read: Callable[[str], Any]


def whole_number(minimum: int, maximum: int) -> Kind:
    """Accept whole numbers within inclusive bounds."""

    def read(text: str) -> int:
        return _within(int(text), minimum, maximum)

    return Kind(f"a whole number from {minimum} to {maximum}", "N", read)


def number(minimum: float, maximum: float) -> Kind:
    """Accept finite numbers within inclusive bounds."""

    def read(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(text)
        return _within(value, minimum, maximum)

    return Kind(f"a number from {minimum:g} to {maximum:g}", "NUMBER", read)


def choice(*values: str) -> Kind:
    """Accept one of a few words, in any case."""

    def read(text: str) -> str:
        if text.lower() not in values:
            raise ValueError(text)
        return text.lower()

    listed = ", ".join(values[:-1]) + f" or {values[-1]}"
    return Kind(listed, "|".join(values), read)


def matching(pattern: str, expectation: str, metavar: str) -> Kind:
    """Accept texts that a regular expression matches from end to end."""
    compiled = re.compile(pattern)

    def read(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise ValueError(text)
        return text

    return Kind(expectation, metavar, read)


def _within(value: _Number, minimum: _Number, maximum: _Number) -> _Number:
    if not minimum <= value <= maximum:
        raise ValueError(value)
    return value


def _read_boolean(text: str) -> bool:
    if text.lower() not in _TRUE + _FALSE:
        raise ValueError(text)
    return text.lower() in _TRUE


BOOLEAN = Kind("true or false", "true|false", _read_boolean)
PATH = Kind("a path", "PATH", Path)
TOPIC = matching(
    r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}",
    "a topic's name: letters, digits, '.', '_' and '-', at most 249",
    "TOPIC",
)
NAME = matching(r"[^\s]{1,200}", "a name without spaces, at most 200 long", "NAME")
SERVERS = matching(
    r"[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*|(\[[0-9A-Fa-f:.]+\]:\d{1,5},?)+",
    "host:port, more of them separated by commas",
    "HOST:PORT",
)
ADDRESS = matching(r"[^\s/]+", "an address of this machine to listen on", "ADDRESS")
PORT = whole_number(-1, 65535)
