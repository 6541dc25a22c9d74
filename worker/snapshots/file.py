"""The file of a snapshot: a header, slices of keys, and a digest of all of it.

    magic | length, header (JSON) | { offset, keys, events | rows ... }* | 0 | SHA-256

Integers are little-endian and 64 bits wide. Knows no directory and no broker.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from worker.features import StateSlice, event_counts

MAGIC = b"fraud-snapshot-1\n"

#: Says that no slice follows.
_END = np.array([-1, 0, 0], "<i8").tobytes()

_DIGEST_BYTES = 32
_WORD_BYTES = 8
_HEAD_WORDS = 3
_MAX_HEADER_BYTES = 65_536

#: Read and digested at once.
_CHUNK_BYTES = 1 << 20


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


class SoundSnapshot:
    """A snapshot that was found sound; its slices are read from the open file.

    Use it as a context manager: it holds the file, also when that is removed meanwhile.

    Attributes
    ----------
    complete_at
        Offset of its last slice: it can be used where at least that much of the log is
        committed.
    key_count, event_count
        What its slices hold; a key that was copied twice counts twice.
    """

    def __init__(self, file: FileIO, header: SnapshotHeader):
        self.header = header
        self.complete_at = header.next_offset
        self.key_count = self.event_count = 0
        self._file = file
        self._first_slice = file.tell()
        for offset, keys, events in self._heads():
            self.complete_at = max(self.complete_at, offset)
            self.key_count += keys
            self.event_count += events
            row_bytes = keys * header.key_columns + events * header.event_words
            file.seek(row_bytes * _WORD_BYTES, os.SEEK_CUR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def slices(self, max_events: int) -> Iterator[StateSlice]:
        """Yield its keys, a few at a time: of so many events, or of one key.

        Raises
        ------
        OSError
            The file cannot be read any more.
        """
        header = self.header
        self._file.seek(self._first_slice)
        for _, key_count, _ in self._heads():
            keys = self._rows(key_count, header.key_columns)
            counts = event_counts(keys)
            for first, last in _cut(counts, max_events):
                events = int(counts[first:last].sum())
                yield StateSlice(
                    keys[first:last], self._rows(events, header.event_words)
                )

    def _heads(self) -> Iterator[tuple[int, int, int]]:
        """Yield offset, keys and events of each slice, with the file at its rows."""
        while True:
            offset, keys, events = self._rows(1, _HEAD_WORDS)[0].tolist()
            if offset < 0:
                return
            yield offset, keys, events

    def _rows(self, count: int, columns: int) -> NDArray[np.int64]:
        rows = np.empty((count, columns), "<i8")
        view = rows.reshape(-1).view(np.uint8).data
        while view.nbytes:
            read = self._file.readinto(view)
            if not read:
                raise OSError(errno.EIO, "it has become shorter")
            view = view[read:]
        return rows


def open_snapshot(path: Path) -> SoundSnapshot:
    """Check the digest of a snapshot, and leave it open.

    Raises
    ------
    SnapshotUnsound
        The file is truncated, altered, or of another format.
    OSError
        The file cannot be read.
    """
    with ExitStack() as closing:
        # Unbuffered: rows go straight into their arrays.
        file = closing.enter_context(path.open("rb", buffering=0))
        _check_digest(file)
        file.seek(0)
        snapshot = SoundSnapshot(file, _header_of(file))
        closing.pop_all()
        return snapshot


def read_header(path: Path) -> SnapshotHeader:
    """Read what a snapshot says of itself, unverified: to choose which to load.

    Raises
    ------
    SnapshotUnsound
        It is no snapshot.
    """
    with path.open("rb") as file:
        return _header_of(file)


def _check_digest(file: FileIO) -> None:
    left = os.fstat(file.fileno()).st_size - _DIGEST_BYTES
    digest, chunk = hashlib.sha256(), memoryview(bytearray(_CHUNK_BYTES))
    while left > 0 and (read := file.readinto(chunk[:left])):
        digest.update(chunk[:read])
        left -= read
    if left or file.read(_DIGEST_BYTES) != digest.digest():
        raise SnapshotUnsound("its digest does not match: truncated or altered")


def _header_of(file: BinaryIO) -> SnapshotHeader:
    start = file.read(len(MAGIC) + _WORD_BYTES)
    length = int.from_bytes(start[len(MAGIC) :], "little")
    if not start.startswith(MAGIC) or length > _MAX_HEADER_BYTES:
        raise SnapshotUnsound("it has another format")
    try:
        return msgspec.json.decode(file.read(length), type=SnapshotHeader)
    except msgspec.MsgspecError:
        raise SnapshotUnsound("its header cannot be read") from None


def _cut(counts: NDArray[np.int64], max_events: int) -> Iterator[tuple[int, int]]:
    """Yield [first, last) of keys that have no more events together than that.

    >>> list(_cut(np.array([2, 1, 9, 0, 3]), 3))
    [(0, 2), (2, 3), (3, 5)]
    """
    ends = np.cumsum(counts)
    first = 0
    while first < len(ends):
        before = int(ends[first] - counts[first])
        last = int(np.searchsorted(ends, before + max_events, side="right"))
        last = max(last, first + 1)
        yield first, last
        first = last
