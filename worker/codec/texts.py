"""A list of texts as one buffer of bytes, which is how kernels read them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def pack(texts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the UTF-8 of n texts behind each other, and the n lengths in bytes.

    Raises
    ------
    TypeError
        Unless all are texts.
    """
    joined = "".join(texts)
    if joined.isascii():
        return np.frombuffer(joined.encode(), np.uint8), lengths_of(texts)
    # Files may hold half of a surrogate pair; it becomes a question mark.
    encoded = [text.encode(errors="replace") for text in texts]
    return np.frombuffer(b"".join(encoded), np.uint8), lengths_of(encoded)


def lengths_of(items: Sequence[str] | Sequence[bytes]) -> NDArray[np.int64]:
    """Return the (n,) lengths: characters of texts, bytes of bytes."""
    return np.fromiter(map(len, items), np.int64, len(items))
