"""Lines of a file or a pipe, in blocks: whatever is there is handed on at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

#: Bytes read at once, at most: some ten thousand payments.
BLOCK_BYTES = 1 << 20

#: Bytes of a line that are kept; the rest cannot make it a payment any more.
MAX_LINE_BYTES = 1 << 17


class Line(NamedTuple):
    """A line that is not blank, without its end; numbers begin with 1."""

    number: int
    content: bytes


def blocks(file: BinaryIO) -> Iterator[list[Line]]:
    """Yield the lines as they come, never an empty list.

    Waits for more only when no line is complete, so that the other end of a pipe gets
    its answers without delay.
    """
    rest, number = b"", 0
    while block := _read(file):
        *complete, rest = (rest + block).split(b"\n")
        rest = rest[:MAX_LINE_BYTES]
        lines = list(_lines(complete, number))
        number += len(complete)
        if lines:
            yield lines
    last = list(_lines([rest], number))
    if last:
        yield last


def _lines(contents: list[bytes], before: int) -> Iterator[Line]:
    for number, content in enumerate(contents, before + 1):
        text = content[:MAX_LINE_BYTES].strip(b" \t\r")
        if text:
            yield Line(number, text)


def _read(file: BinaryIO) -> bytes:
    """Return what is there, waiting until something is; nothing at the end."""
    read1 = getattr(file, "read1", None)
    block = file.read(BLOCK_BYTES) if read1 is None else read1(BLOCK_BYTES)
    return bytes(block or b"")
