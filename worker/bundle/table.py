"""One JSON object, read strictly: problems are collected by place, none is fatal.

Knows no manifest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TypeVar

_Harmless = TypeVar("_Harmless")


class Table:
    """The keys of a JSON object, each taken once and checked as it is taken.

    What is wrong goes to `problems`, with a harmless value in its place, so that one
    reading finds everything.
    """

    def __init__(self, document: object, place: str, problems: list[str]) -> None:
        self._place = place
        self._problems = problems
        self._values: dict[str, object] = {}
        self._taken: set[str] = set()
        if isinstance(document, dict):
            self._values = document
        else:
            problems.append(f"{place or 'the top level'}: not an object")

    @property
    def keys(self) -> list[str]:
        """The names of all keys, sorted."""
        return sorted(self._values)

    def problem(self, name: str, sentence: str) -> None:
        """Note what is wrong with a key."""
        self._problems.append(f"{self._at(name)}: {sentence}")

    def require(self, names: Iterable[str]) -> None:
        """Note every name that is no key."""
        for name in names:
            if name not in self._values:
                self.problem(name, "missing")

    def finish(self) -> None:
        """Note every key that nobody has taken."""
        for name in self.keys:
            if name not in self._taken:
                self.problem(name, "unknown key")

    def text(
        self,
        name: str,
        accept: Callable[[str], bool] = bool,
        expected: str = "a text that is not empty",
    ) -> str:
        """Take a text that `accept` takes."""
        value = self._take(name)
        if isinstance(value, str) and accept(value):
            return value
        return self._wrong(name, expected, "")

    def optional_text(
        self, name: str, accept: Callable[[str], bool], expected: str
    ) -> str | None:
        """Take a text that `accept` takes, or null."""
        if name in self._values and self._values[name] is None:
            self._taken.add(name)
            return None
        return self.text(name, accept, expected)

    def texts(self, name: str) -> tuple[str, ...]:
        """Take a list of texts, none twice."""
        value = self._take(name)
        texts = isinstance(value, list) and all(isinstance(v, str) for v in value)
        if isinstance(value, list) and texts and len(set(value)) == len(value):
            return tuple(value)
        return self._wrong(name, "a list of different texts", ())

    def integer(self, name: str, *, default: int = 0) -> int:
        """Take an integer; true and 1.0 are none."""
        value = self._take(name)
        if type(value) is int:
            return value
        return self._wrong(name, "an integer", default)

    def number(self, name: str) -> float:
        """Take a finite number; true is none."""
        value = self._take(name)
        if isinstance(value, int | float) and _is_finite(value):
            return float(value)
        return self._wrong(name, "a number", 0.0)

    def numbers(self, name: str) -> tuple[float, ...]:
        """Take a list of finite numbers."""
        value = self._take(name)
        if isinstance(value, list) and all(map(_is_finite, value)):
            return tuple(value)
        return self._wrong(name, "a list of numbers", ())

    def table(self, name: str) -> Table:
        """Take an object."""
        value = self._take(name)
        if name not in self._values:
            self.problem(name, "missing")
            value = {}
        return Table(value, self._at(name), self._problems)

    def _take(self, name: str) -> object:
        self._taken.add(name)
        return self._values.get(name)

    def _wrong(self, name: str, expected: str, harmless: _Harmless) -> _Harmless:
        found = name in self._values
        self.problem(name, f"must be {expected}" if found else "missing")
        return harmless

    def _at(self, name: str) -> str:
        return f"{self._place}.{name}" if self._place else name


def _is_finite(value: object) -> bool:
    is_float = type(value) is float and math.isfinite(value)
    return is_float or type(value) is int
