"""The table of the faults as the README shows it.

    make faults
    python -m tests.faults.readme build/faults.json

writes it there, in place of the one that is there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.faults.catalogue import FAULTS
from tests.faults.fault import Row
from tests.faults.table import HEAD, cells
from tests.readme import README, replaced

_FOOT = """
`fraud-worker verify` audited every stream; then its answers were counted against its \
records by their coordinates alone.
A row in which a fault strikes less often than it has to, or not at all, fails.
The seconds run until a `read_committed` reader holds the next score of a partition, \
over all strikes and partitions, from the fault on or from what is said here:
"""


def for_readme(report: Mapping[str, Any]) -> str:
    """Return the table of a whole run, with where and when it was played.

    Parameters
    ----------
    report
        What `make faults` writes as JSON.

    Raises
    ------
    ValueError
        The run lacks a fault, or one did not pass or had to strike less often.
    """
    rows = [_row(fields) for fields in report["rows"]]
    if problems := _problems({row.fault: row for row in rows}):
        raise ValueError(f"not for the README: {'; '.join(problems)}")
    minutes = sum(row.took_seconds for row in rows) / 60
    where = (
        f"`make faults` at commit `{report['commit']}` on {report['date']}, "
        f"{minutes:.0f} minutes: {report['machine']}; everything on one machine.\n"
    )
    rule = ("---",) * len(HEAD)
    table = [row[:-1] for row in (HEAD, rule, *map(cells, rows))]
    lines = [f"| {' | '.join(row)} |" for row in table]
    remarks = [
        f"- {row.title}: {'; '.join(dict.fromkeys(row.notes))}."
        for row in rows
        if row.notes
    ]
    return "\n".join([where, *lines, _FOOT, *remarks, ""])


def _row(fields: Mapping[str, Any]) -> Row:
    return Row(**{name: v for name, v in fields.items() if name != "passed"})


def _problems(rows: Mapping[str, Row]) -> list[str]:
    missing = [
        f"{fault.name} was not played" for fault in FAULTS if fault.name not in rows
    ]
    failed = [f"{name} failed" for name, row in rows.items() if row.problems]
    eased = [
        f"{fault.name} had to strike {row.wanted} times, not {fault.rounds}"
        for fault in FAULTS
        if (row := rows.get(fault.name)) and row.wanted < fault.rounds
    ]
    return missing + failed + eased


def main(arguments: Sequence[str]) -> None:
    """Write the table of a file of rows into the README."""
    new = for_readme(json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    readme = README.read_text(encoding="utf-8")
    README.write_text(replaced(readme, "faults", new), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
