"""The table of the faults: whole, from one run, and the same in the README."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.fault import Row
from tests.faults.readme import for_readme
from tests.readme import README, block

SHOWN = block(README.read_text(), "faults")

#: Title, how often it struck, events; and four times nothing.
CLEAN = re.compile(r"^\| (.+) \| (\d+) \| (\d+) (?:\| 0 ){4}\|", re.MULTILINE)


def report(**spoilt: Any) -> dict[str, Any]:
    """A run in which all passed; the last row may be spoilt."""
    rows = [
        Row(
            fault=fault.name,
            title=fault.title,
            struck=fault.rounds,
            wanted=fault.rounds,
            events=1000,
            missing=0,
            duplicated=0,
            out_of_order=0,
            different=0,
            seconds_median=1.25,
            seconds_worst=None,
            took_seconds=60.0,
            notes=("went on", "went on", "by itself"),
            problems=(),
        )
        for fault in FAULTS
    ]
    written = [{**asdict(row), "passed": True} for row in rows]
    written[-1].update(spoilt)
    run = {"machine": "a machine", "commit": "abc", "date": "2018-05-10"}
    parsed: dict[str, Any] = json.loads(json.dumps({**run, "rows": written}))
    return parsed


def test_every_fault_is_a_row_and_what_was_seen_is_told_once() -> None:
    lines = for_readme(report()).splitlines()

    rows = [line for line in lines if line.startswith("| ")][2:]
    title = FAULTS[0].title
    assert lines[0].startswith(
        f"`make faults` at commit `abc` on 2018-05-10, {len(FAULTS)} minutes: a machine"
    )
    assert len(rows) == len(FAULTS)
    assert rows[0] == (
        f"| {title} | {FAULTS[0].rounds} | 1000 | 0 | 0 | 0 | 0 | 1.25 | - |"
    )
    assert f"- {title}: went on; by itself." in lines


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ({"problems": ["1 lost"]}, "failed"),
        ({"wanted": 0}, "had to strike 0 times, not "),
        ({"fault": "another"}, "was not played"),
    ],
)
def test_a_run_that_is_not_whole_is_refused(spoilt: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"{FAULTS[-1].name} {said}"):
        for_readme(report(**spoilt))


def test_the_readme_has_a_clean_row_for_every_fault() -> None:
    rows = CLEAN.findall(SHOWN)

    assert [title for title, _, _ in rows] == [fault.title for fault in FAULTS]
    for (_, struck, events), fault in zip(rows, FAULTS, strict=True):
        assert int(struck) >= fault.rounds
        assert int(events) > 0
