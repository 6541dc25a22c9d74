"""What is wrong with a value before it is read as JSON.

Owns the limits on size and nesting, and UTF-8. Knows no schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from worker.codec.texts import lengths_of
from worker.codec.verdict import Codes, code_of, code_table
from worker.records import Reason

#: Levels of nesting that are read; far below what any stack of ours could hold, so
#: that the answer never depends on how deep the caller stands.
MAX_DEPTH = 64

#: Statuses by position in `_CODES`; behind them: bytes above 127, to be looked at.
_EMPTY, _TOO_LARGE, _FRAMED, _DEEP, _NOT_ASCII = 1, 2, 3, 4, 5

_CODES = code_table(
    None,
    Reason.EMPTY,
    Reason.TOO_LARGE,
    Reason.SCHEMA_FRAMING,
    Reason.TOO_DEEP,
)


def check_envelopes(
    values: Sequence[bytes | None], *, max_value_bytes: int
) -> Codes | None:
    """Return a code for each of n values; None when all may be parsed.

    In this order: tombstone, empty, too large, schema-registry framing (a first byte
    of 0, which no JSON has), too deep, not UTF-8.
    """
    present = cast("Sequence[bytes]", values)
    try:
        joined = b"".join(present)
    except TypeError:
        present = [value or b"" for value in values]
        joined = b"".join(present)
    buffer, lengths = np.frombuffer(joined, np.uint8), lengths_of(present)
    status = np.empty(len(values), np.uint8)
    if not _scan_all(buffer, lengths, max_value_bytes, status):
        return None
    codes = _CODES[status % _NOT_ASCII]
    rows = np.flatnonzero(status == _NOT_ASCII).tolist()
    # Together first: no character reaches over a line feed.
    if not _is_utf8(b"\n".join([present[row] for row in rows])):
        for row in rows:
            if not _is_utf8(present[row]):
                codes[row] = code_of(Reason.NOT_UTF8)
    for row in np.flatnonzero(status == _EMPTY).tolist():
        if values[row] is None:
            codes[row] = code_of(Reason.TOMBSTONE)
    return codes if codes.any() else None


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


@njit(cache=True)
def _scan_all(
    buffer: NDArray[np.uint8],
    lengths: NDArray[np.int64],
    max_value_bytes: int,
    status: NDArray[np.uint8],
) -> bool:
    """Status by position in `_CODES`, or `_NOT_ASCII`. True if any is not 0."""
    start = 0
    some_found = False
    for row in range(len(lengths)):
        end = start + lengths[row]
        status[row] = 0
        if start == end:
            status[row] = _EMPTY
        elif end - start > max_value_bytes:
            status[row] = _TOO_LARGE
        elif buffer[start] == 0:
            status[row] = _FRAMED
        else:
            status[row] = _scan_one(buffer[start:end])
        some_found |= status[row] != 0
        start = end
    return some_found


@njit(cache=True)
def _scan_one(value: NDArray[np.uint8]) -> int:
    bits = np.uint8(0)
    opening_count = 0
    # Without a branch, so that the compiler takes many bytes at a time.
    for byte in value:
        bits |= byte
        opening_count += byte | 32 == 123  # "[" and "{"
    if opening_count > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        return _DEEP
    return _NOT_ASCII if bits > 127 else 0


@njit(cache=True)
def _depth(value: NDArray[np.uint8]) -> int:
    """The deepest nesting of brackets outside texts."""
    depth, deepest = 0, 0
    in_text, escaped = False, False
    for byte in value:
        if in_text:
            in_text = escaped or byte != 34  # a quotation mark
            escaped = byte == 92 and not escaped  # a backslash
        elif byte == 34:
            in_text = True
        elif byte | 32 == 123:
            depth += 1
            deepest = max(deepest, depth)
        elif byte | 32 == 125:  # "]" and "}"
            depth -= 1
    return deepest
