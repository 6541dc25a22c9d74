"""Tables as plain text, for people and for grep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def table_lines(
    head: Sequence[str], rows: Sequence[Sequence[str]], alignment: str
) -> Iterator[str]:
    """Yield the lines of a table, each indented by two spaces.

    Parameters
    ----------
    alignment
        `<` or `>` for each column.

    Examples
    --------
    >>> print(*table_lines(["week", "AP"], [["1", "0.61"]], "<>"), sep="|")
      week    AP|  1     0.61
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = (
            f"{cell:{side}{width}}"
            for cell, side, width in zip(row, alignment, widths, strict=True)
        )
        yield f"  {'  '.join(cells)}".rstrip()
