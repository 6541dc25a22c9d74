"""Durations as people write them: 30d, 12h, 90s."""

from __future__ import annotations

import re

#: Milliseconds in each unit that a duration may name.
UNIT_MS = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}

_PATTERN = re.compile(r"(\d{1,9})(ms|s|m|h|d|w)")


def parse_duration_ms(text: str) -> int:
    """Read a whole number with a unit: ms, s, m, h, d or w.

    Raises
    ------
    ValueError
        Where the text is no such duration.

    Examples
    --------
    >>> parse_duration_ms("7d")
    604800000
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        units = ", ".join(UNIT_MS)
        msg = f"{text!r} is not a duration such as '30d' (units: {units})"
        raise ValueError(msg)
    return int(match[1]) * UNIT_MS[match[2]]
