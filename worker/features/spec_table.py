"""A TOML table read strictly: wrong values and unknown keys become sentences.

Knows nothing of what the keys mean.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from worker.features.durations import parse_duration_ms
from worker.features.spec_lines import TOP, Place, SpecLines

T = TypeVar("T", bound=str)


class Table:
    """One table of a document; reads return a harmless value where one is wrong."""

    def __init__(
        self,
        content: Mapping[str, Any],
        problems: list[str],
        lines: SpecLines,
        *,
        at: Place = TOP,
        name: str = "top level",
    ) -> None:
        self._content = content
        self._problems = problems
        self._lines = lines
        self._at = at
        self._name = name
        self._read: dict[str, None] = {}

    def problem(self, sentence: str, key: str | None = None) -> None:
        """Report what is wrong: in which line, in which table, and what."""
        line = self._lines.of(self._at, key)
        where = self._name if line is None else f"line {line}: {self._name}"
        if f"{where}: {sentence}" not in self._problems:
            self._problems.append(f"{where}: {sentence}")

    def has(self, key: str) -> bool:
        """Whether the key is there, whatever its value."""
        return key in self._content

    def ignore(self) -> None:
        """Give up on this table: its other keys are not worth a sentence."""
        self._read.update(dict.fromkeys(self._content))

    def finish(self) -> None:
        """Report every key that nobody asked for."""
        for key in self._content:
            if key not in self._read:
                close = difflib.get_close_matches(key, self._read, n=1)
                hint = f", did you mean {str(close[0])!r}?" if close else ""
                self.problem(f"unknown key {key!r}{hint}", key)

    def text(self, key: str, *, default: str | None = None) -> str:
        """Return a text that is not empty."""
        value = self._take(key, str, "a text", default)
        if value == "" and key in self._content:
            self.problem(f"{key} must not be empty", key)
        return value or ""

    def optional_text(self, key: str) -> str | None:
        """Return a text, or None where there is none."""
        return self.text(key) if self.has(key) else None

    def integer(self, key: str, *, default: int | None = None) -> int:
        """Return a whole number."""
        value = self._take(key, int, "a whole number", default)
        return 0 if value is None else value

    def optional_integer(self, key: str) -> int | None:
        """Return a whole number, or None where there is none."""
        return self.integer(key) if self.has(key) else None

    def number(self, key: str) -> float:
        """Return a number."""
        value = self._take(key, (int, float), "a number", None)
        return 0.0 if value is None else float(value)

    def optional_number(self, key: str) -> float | None:
        """Return a number, or None where there is none."""
        value = self._take(key, (int, float), "a number", None, required=False)
        return None if value is None else float(value)

    def optional_pair(self, key: str) -> tuple[float, float] | None:
        """Return two numbers, or None where there are none."""
        value = self._take(key, list, "a list of two numbers", None, required=False)
        if value is None:
            return None
        if len(value) != 2 or not all(_is_number(item) for item in value):
            self.problem(f"{key} must be a list of two numbers", key)
            return None
        return float(value[0]), float(value[1])

    def boolean(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        return bool(self._take(key, bool, "true or false", default))

    def choice(self, key: str, choices: Sequence[T], *, default: T | None = None) -> T:
        """Return one of the given words."""
        value = self._take(key, str, "a text", default)
        if value in choices:
            return choices[choices.index(value)]
        if value is not None:
            listed = ", ".join(choices)
            self.problem(f"{key} is {value!r}, expected one of {listed}", key)
        return choices[0]

    def names(self, key: str, *, count: int) -> tuple[str, ...]:
        """Return a list of that many texts."""
        value = self._take(key, list, f"a list of {count} names", None) or []
        if len(value) != count or not _are_texts(value):
            self.problem(f"{key} must be a list of {count} names", key)
            return ()
        return tuple(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, of any length."""
        value = self._take(key, list, "a list of texts", None) or []
        if not _are_texts(value):
            self.problem(f"{key} must be a list of texts", key)
            return ()
        return tuple(value)

    def pairs_of_names(self, key: str, example: str) -> tuple[str, ...]:
        """Return the four texts of a list of two lists of two; () where it is none."""
        value = self._take(key, list, f"two pairs of names: {example}", None) or []
        are_pairs = len(value) == 2 and all(
            isinstance(pair, list) and len(pair) == 2 and _are_texts(pair)
            for pair in value
        )
        if not are_pairs:
            self.problem(f"{key} must be two pairs of names: {example}", key)
            return ()
        return (*value[0], *value[1])

    def duration_ms(self, key: str, *, default: str | None = None) -> int:
        """Return a duration such as "7d" in milliseconds."""
        return self._parse_duration(key, self.text(key, default=default))

    def windows(self) -> Iterator[tuple[str, int]]:
        """Read `window` or `windows`; yield the suffix of each name and its length."""
        if self.has("window") == self.has("windows"):
            self.problem("exactly one of window, windows is expected")
            self._read.update(window=None, windows=None)
        elif self.has("window"):
            yield "", self._positive("window", self.text("window"))
        else:
            listed = self._take("windows", list, "a list of durations", None) or []
            for item in listed:
                yield f"_{item}", self._positive("windows", item)

    def comparison(self, choices: Sequence[str]) -> tuple[str | None, float | None]:
        """Read the one comparison of a condition and its threshold."""
        found = [choice for choice in choices if self.has(choice)]
        if len(found) != 1:
            self.problem(f"exactly one of {', '.join(choices)} is expected")
            self._read.update(dict.fromkeys(choices))
            return None, None
        return found[0], self.optional_number(found[0])

    def table(self, key: str) -> Table:
        """Return the table of that name."""
        value = self._take(key, dict, "a table", None) or {}
        return Table(value, self._problems, self._lines, at=(key, 1), name=key)

    def tables(self, key: str) -> Iterator[Table]:
        """Yield the tables of an array, each placed by its number and name."""
        value = self._take(key, list, "an array of tables", None) or []
        for number, item in enumerate(value, start=1):
            if not isinstance(item, dict):
                self.problem(f"{key} {number} is not a table")
                continue
            name = item.get("name")
            place = f"{key} {number}" + (f" ({name})" if name else "")
            at = (key, number)
            yield Table(item, self._problems, self._lines, at=at, name=place)

    def _positive(self, key: str, text: object) -> int:
        length_ms = self._parse_duration(key, text)
        if length_ms == 0:
            self.problem(f"{key}: a window must be longer than nothing", key)
        return length_ms

    def _parse_duration(self, key: str, text: object) -> int:
        try:
            return parse_duration_ms(str(text))
        except ValueError as error:
            self.problem(f"{key}: {error}", key)
            return 1

    def _take(
        self, key: str, kind: Any, words: str, default: Any, *, required: bool = True
    ) -> Any:
        self._read[key] = None
        if key not in self._content:
            if default is None and required:
                self.problem(f"{key} is missing: expected {words}")
            return default
        value = self._content[key]
        if not isinstance(value, kind) or (
            isinstance(value, bool) and kind is not bool
        ):
            self.problem(f"{key} is {value!r}, expected {words}", key)
            return default
        return value


def _are_texts(values: list[Any]) -> bool:
    return all(isinstance(item, str) for item in values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
