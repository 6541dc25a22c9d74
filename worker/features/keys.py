"""Texts as fixed-size integers: exact keys for entities, hashes for everything else.

Pure kernels and their wrappers; know nothing of state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from worker.records import Column

#: Keys of up to this many bytes are packed as they are; longer ones by BLAKE2b-128,
#: whose collisions nobody can construct.
PACKED_BYTES = 15

#: Set in the last byte of a hashed key, where a packed one holds its length.
_HASHED = 0x80

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_FINALIZER_1 = np.uint64(0xBF58476D1CE4E5B9)
_FINALIZER_2 = np.uint64(0x94D049BB133111EB)
_SHIFT_27 = np.uint64(27)
_SHIFT_30 = np.uint64(30)
_SHIFT_31 = np.uint64(31)


def as_texts(column: Column) -> list[str]:
    """Return keys as texts; integer keys by their decimal digits."""
    if isinstance(column, np.ndarray):
        return list(map(str, column.tolist()))
    return column  # type: ignore[return-value]  # a key is required, never None


def pack_keys(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Turn texts into (n, 2) uint64 such that equal rows mean equal texts.

    Up to 15 bytes of UTF-8 are packed with their length; longer texts are hashed
    with BLAKE2b to 127 bits.
    """
    buffer, lengths = _joined(texts)
    packed = np.empty((len(texts), 2), np.uint64)
    if lengths.size and int(lengths.max()) > PACKED_BYTES:
        _hash_long(texts, packed)
    else:
        _pack(buffer, lengths, packed)
    return packed


def hash_texts(texts: Sequence[str | None], missing: int) -> NDArray[np.int64]:
    """Turn texts into (n,) int64 hashes; None becomes `missing`.

    64 bits of a SplitMix64-finalised polynomial over 8-byte words. Used where a
    collision of 2**-64 per pair is harmless: repeats of an id at one moment of one
    key, and distinct values.
    """
    try:
        present, absent = _joined(cast("Sequence[str]", texts)), []
    except TypeError:
        present = _joined([text or "" for text in texts])
        absent = [row for row, text in enumerate(texts) if text is None]
    hashes = np.empty(len(texts), np.int64)
    _hash(*present, hashes)
    hashes[hashes == missing] = 0
    hashes[absent] = missing
    return hashes


def _joined(texts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Concatenate texts as UTF-8: the bytes, and the length of each.

    Raises
    ------
    TypeError
        One of them is none.
    """
    joined = "".join(texts)
    if joined.isascii():
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        return np.frombuffer(joined.encode(), np.uint8), lengths
    encoded = [text.encode() for text in texts]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    return np.frombuffer(b"".join(encoded), np.uint8), lengths


def _hash_long(texts: Sequence[str], packed: NDArray[np.uint64]) -> None:
    """Pack short texts and hash long ones, one by one."""
    rows = packed.view(np.uint8).reshape(len(texts), 16)
    for row, text in zip(rows, texts, strict=True):
        data = text.encode()
        if len(data) <= PACKED_BYTES:
            row[:] = np.frombuffer(data.ljust(15, b"\0") + bytes([len(data)]), np.uint8)
        else:
            digest = hashlib.blake2b(data, digest_size=16).digest()
            row[:] = np.frombuffer(digest, np.uint8)
            row[15] |= _HASHED


@njit(cache=True)
def _pack(
    buffer: NDArray[np.uint8], lengths: NDArray[np.int64], packed: NDArray[np.uint64]
) -> None:
    start = 0
    for i in range(lengths.shape[0]):
        length = lengths[i]
        low = np.uint64(0)
        high = np.uint64(length) << np.uint64(56)
        for j in range(min(length, 8)):
            low |= np.uint64(buffer[start + j]) << np.uint64(8 * j)
        for j in range(8, length):
            high |= np.uint64(buffer[start + j]) << np.uint64(8 * (j - 8))
        packed[i, 0] = low
        packed[i, 1] = high
        start += length


@njit(cache=True)
def _hash(
    buffer: NDArray[np.uint8], lengths: NDArray[np.int64], hashes: NDArray[np.int64]
) -> None:
    start = 0
    for i in range(lengths.shape[0]):
        length = lengths[i]
        state = np.uint64(length) * _MULTIPLIER
        word = np.uint64(0)
        for j in range(length):
            word |= np.uint64(buffer[start + j]) << np.uint64(8 * (j & 7))
            if j & 7 == 7:
                state = finalize((state ^ word) * _MULTIPLIER)
                word = np.uint64(0)
        hashes[i] = np.int64(finalize((state ^ word) * _MULTIPLIER))
        start += length


@njit(cache=True)
def finalize(state: np.uint64) -> np.uint64:
    """SplitMix64's output function: every input bit reaches every output bit.

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
    OOPSLA 2014.
    """
    state = (state ^ (state >> _SHIFT_30)) * _FINALIZER_1
    state = (state ^ (state >> _SHIFT_27)) * _FINALIZER_2
    return state ^ (state >> _SHIFT_31)
