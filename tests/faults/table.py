"""The table as people read it."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.fault import Row

HEAD = (
    "fault",
    "struck",
    "events",
    "missing",
    "duplicated",
    "out of order",
    "different",
    "next score s: median",
    "worst",
    "result",
)


def render(rows: Sequence[Row]) -> str:
    """Return the table, then what else was seen of each fault."""
    table = [HEAD, *map(cells, rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [_line(row, widths) for row in table]
    lines.insert(1, "  ".join("-" * width for width in widths))
    remarks = [
        f"{row.fault}: {sentence}"
        for row in rows
        for sentence in (*row.notes, *(f"FAILED: {p}" for p in row.problems))
    ]
    return "\n".join([*lines, "", *remarks])


def cells(row: Row) -> tuple[str, ...]:
    """Return what stands in a row, below `HEAD`."""
    counts = (row.missing, row.duplicated, row.out_of_order, row.different)
    return (
        row.title,
        f"{row.struck}",
        f"{row.events}",
        *map(str, counts),
        _seconds(row.seconds_median),
        _seconds(row.seconds_worst),
        "FAILED" if row.problems else "passed",
    )


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if index else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *others])
