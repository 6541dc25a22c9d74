"""The file of a snapshot: a header, slices of keys, and a digest of all of it.

    magic | length, header (JSON) | { offset, keys, events | rows ... }* | 0 | SHA-256

Integers are little-endian and 64 bits wide. Knows no directory and no broker.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from worker.features import StateSlice

MAGIC = b"fraud-snapshot-1\n"

#: Says that no slice follows.
_END = np.array([-1, 0, 0], "<i8").tobytes()

_DIGEST_BYTES = 32
_HEAD_BYTES = 24
_MAX_HEADER_BYTES = 65_536


class SnapshotIdentity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a snapshot must share with the partition that wants to use it."""

    topic: str
    topic_id: str
    partition: int
    state_fingerprint: str
    fold_start: int


class SnapshotHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first thing in the file.

    Attributes
    ----------
    next_offset
        Where a replay starts: the offset of the first slice.
    watermark_ms
        Largest event time before that offset; None if there was none.
    key_columns, event_words
        Widths of the rows.
    """

    identity: SnapshotIdentity
    next_offset: int
    watermark_ms: int | None
    key_columns: int
    event_words: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot that was read whole and found sound.

    `complete_at` is the offset of its last slice: it can be used where at least that
    much of the log is committed.
    """

    header: SnapshotHeader
    slices: list[StateSlice]
    complete_at: int


class SnapshotUnsound(Exception):
    """A snapshot file cannot be used; an older one, or a replay, takes its place."""


class SnapshotFileWriter:
    """Writes one snapshot, slice by slice, and its digest at the end."""

    def __init__(self, file: BinaryIO, header: SnapshotHeader):
        self._file = file
        self._digest = hashlib.sha256()
        encoded = msgspec.json.encode(header)
        self._write(MAGIC + len(encoded).to_bytes(8, "little") + encoded)

    def add(self, state_slice: StateSlice, offset: int) -> None:
        """Append the keys that were copied when the next offset was `offset`."""
        keys, events = state_slice.keys, state_slice.events
        self._write(np.array([offset, len(keys), len(events)], "<i8").tobytes())
        for rows in (keys, events):
            self._write(
                np.ascontiguousarray(rows, "<i8").reshape(-1).view(np.uint8).data
            )

    def finish(self) -> None:
        """Append the end and the digest."""
        self._write(_END)
        self._file.write(self._digest.digest())

    def _write(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        self._file.write(data)


def read_snapshot(path: Path) -> Snapshot:
    """Read a snapshot and check its digest.

    Raises
    ------
    SnapshotUnsound
        The file is truncated, altered, or of another format.
    OSError
        The file cannot be read.
    """
    data = path.read_bytes()
    body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise SnapshotUnsound("its digest does not match: truncated or altered")
    if not body.startswith(MAGIC):
        raise SnapshotUnsound("it has another format")
    at = len(MAGIC) + 8
    length = int.from_bytes(body[at - 8 : at], "little")
    try:
        header = msgspec.json.decode(body[at : at + length], type=SnapshotHeader)
    except msgspec.MsgspecError:
        raise SnapshotUnsound("its header cannot be read") from None
    slices, complete_at = [], header.next_offset
    for offset, state_slice in _slices(body, at + length, header):
        slices.append(state_slice)
        complete_at = max(complete_at, offset)
    return Snapshot(header, slices, complete_at)


def read_header(path: Path) -> SnapshotHeader:
    """Read what a snapshot says of itself, unverified: to choose which to load.

    Raises
    ------
    SnapshotUnsound
        It is no snapshot.
    """
    with path.open("rb") as file:
        start = file.read(len(MAGIC) + 8)
        length = int.from_bytes(start[len(MAGIC) :], "little")
        if not start.startswith(MAGIC) or length > _MAX_HEADER_BYTES:
            raise SnapshotUnsound("it has another format")
        try:
            return msgspec.json.decode(file.read(length), type=SnapshotHeader)
        except msgspec.MsgspecError:
            raise SnapshotUnsound("its header cannot be read") from None


def _slices(
    body: bytes, at: int, header: SnapshotHeader
) -> Iterator[tuple[int, StateSlice]]:
    """Yield each slice with its offset; the arrays are views of `body`."""
    while True:
        offset, keys, events = np.frombuffer(body, "<i8", 3, at).tolist()
        at += _HEAD_BYTES
        if offset < 0:
            return
        shapes = ((keys, header.key_columns), (events, header.event_words))
        arrays = []
        for rows, columns in shapes:
            array = np.frombuffer(body, "<i8", rows * columns, at)
            arrays.append(array.reshape(rows, columns))
            at += array.nbytes
        yield offset, StateSlice(*arrays)
