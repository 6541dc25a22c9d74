"""The parts of the README that the code knows better.

    python -m tests.readme

writes them again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.conftest import ROOT
from worker.config import settings_table
from worker.metrics import metrics_table

README = ROOT / "README.md"


def tables() -> Mapping[str, str]:
    """Return each table as the code makes it, by the name of its place."""
    return {"settings": settings_table(), "metrics": metrics_table()}


def block(text: str, name: str) -> str:
    """Return what stands between the marks of a place.

    Raises
    ------
    LookupError
        There is not exactly one such place.
    """
    found = _place(name).findall(text)
    if len(found) != 1:
        raise LookupError(f"the README has {len(found)} places for {name}, not one")
    return str(found[0][1])


def replaced(text: str, name: str, table: str) -> str:
    """Return the text with that table in a place; raises LookupError as `block`."""
    block(text, name)
    return _place(name).sub(lambda found: f"{found[1]}{table}{found[3]}", text)


def renewed(text: str) -> str:
    """Return the text with every table as the code makes it."""
    for name, table in tables().items():
        text = replaced(text, name, table)
    return text


def _place(name: str) -> re.Pattern[str]:
    return re.compile(
        rf"(^<!-- {name}: .*-->\n)(.*?)(^<!-- end of {name} -->$)",
        re.MULTILINE | re.DOTALL,
    )


if __name__ == "__main__":
    README.write_text(renewed(README.read_text()))
