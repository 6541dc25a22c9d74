"""On which line of a spec each table and each key stands, for messages to people.

Owns the counting of lines; what the text means is read by a TOML parser, which does
not tell.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType

#: The place of a table: its name, and its number among those of that name, from 1.
Place = tuple[str, int]

#: What stands before the first table.
TOP: Place = ("", 1)

_NO_LINES: Mapping[str, int] = MappingProxyType({})
_HEADER = re.compile(r"\s*\[{1,2}\s*([\w-]+)\s*\]{1,2}\s*(#.*)?")
_KEY = re.compile(r"\s*[\"']?([\w.-]+)[\"']?\s*=")
_LONG_TEXT = re.compile(r"\"\"\"|'''")


class SpecLines:
    """The lines of a document's tables and keys, as far as they can be told.

    Parameters
    ----------
    names
        Of the tables; what looks like the header of another is none.
    """

    def __init__(self, text: str, names: Iterable[str]) -> None:
        known = set(names)
        self._headers: dict[Place, int] = {}
        self._keys: dict[Place, dict[str, int]] = {TOP: {}}
        numbers: Counter[str] = Counter()
        place, is_inside = TOP, False
        for line, content in enumerate(text.splitlines(), start=1):
            was_inside = is_inside
            is_inside ^= len(_LONG_TEXT.findall(content)) % 2 == 1
            if was_inside:
                continue
            header = _HEADER.fullmatch(content)
            if header is not None and header[1] in known:
                numbers[header[1]] += 1
                place = (header[1], numbers[header[1]])
                self._headers[place] = line
                self._keys[place] = {}
            elif (key := _KEY.match(content)) is not None:
                self._keys[place].setdefault(key[1], line)

    def of(self, place: Place, key: str | None = None) -> int | None:
        """Return the line of a key, or of its table; None where neither is known."""
        line = self._keys.get(place, _NO_LINES).get(key) if key is not None else None
        return line or self._headers.get(place)
