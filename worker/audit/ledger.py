"""What was published, by the record that it follows from.

Records of a later stage come by in another order than the transactions that they
answer, so all of them are kept: their coordinates in memory, their contents on disk.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.records import TopicPartition

Ints = NDArray[np.int64]
Rows = NDArray[np.intp]


@dataclass(slots=True)
class _Entries:
    """What follows from the n offsets [first, first + n) of one partition.

    `starts` in the spool, -1 for nothing; `partitions` and `offsets` of the published
    records.
    """

    first: int
    starts: Ints
    sizes: Ints
    partitions: Ints
    offsets: Ints
    is_asked: NDArray[np.bool_]


class Published(NamedTuple):
    """Published records of m rows: where they stand and what they hold."""

    partitions: Ints
    offsets: Ints
    contents: list[bytes]


class Ledger:
    """The records of one topic; close it when the audit is over.

    Parameters
    ----------
    ranges
        By partition of the records that are answered: which of them are audited. What
        follows from others is not looked at.
    """

    def __init__(self, ranges: Mapping[int, range]):
        self._entries = {p: _nothing(offsets) for p, offsets in ranges.items()}
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._end = 0

    def close(self) -> None:
        """Forget everything."""
        self._spool.close()

    def add(
        self,
        origins: tuple[Ints, Ints],
        place: TopicPartition,
        offsets: Sequence[int],
        contents: Sequence[bytes],
    ) -> Rows:
        """Keep n records of one partition; return those that repeat an answer.

        Parameters
        ----------
        origins
            Partitions (n,) and offsets (n,) of the records that they follow from.
        """
        repeated: list[Rows] = []
        for partition, entries in self._entries.items():
            rows, at = _inside(entries, partition, origins)
            _, firsts = np.unique(at, return_index=True)
            is_new = np.zeros(len(rows), np.bool_)
            is_new[firsts] = True
            is_new &= entries.starts[at] < 0
            repeated.append(rows[~is_new])
            rows, at = rows[is_new], at[is_new]
            kept = [contents[row] for row in rows.tolist()]
            sizes = np.array([len(content) for content in kept], np.int64)
            entries.starts[at] = self._end + np.cumsum(sizes) - sizes
            entries.sizes[at] = sizes
            entries.partitions[at] = place.partition
            entries.offsets[at] = [offsets[row] for row in rows.tolist()]
            self._spool.write(b"".join(kept))
            self._end += int(sizes.sum())
        return np.sort(np.concatenate(repeated))

    def ask(self, origins: tuple[Ints, Ints]) -> tuple[Rows, Rows, Published]:
        """Return what follows from n records.

        Returns
        -------
        audited, found, published
            The rows that are audited, those of them from which something follows,
            and of the latter what that is.
        """
        self._spool.flush()
        audited, found, parts = [], [], []
        for partition, entries in self._entries.items():
            rows, at = _inside(entries, partition, origins)
            entries.is_asked[at] = True
            is_there = entries.starts[at] >= 0
            audited.append(rows)
            found.append(rows[is_there])
            parts.append(self._read(entries, at[is_there]))
        rows = np.concatenate(found)
        order = np.argsort(rows, kind="stable")
        contents = [content for part in parts for content in part.contents]
        published = Published(
            np.concatenate([part.partitions for part in parts])[order],
            np.concatenate([part.offsets for part in parts])[order],
            [contents[i] for i in order.tolist()],
        )
        return np.sort(np.concatenate(audited)), rows[order], published

    def unasked(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield origin and place of what follows from nothing that was asked for.

        Partition and offset of the origin, then of the record.
        """
        for partition, entries in self._entries.items():
            rows = np.flatnonzero((entries.starts >= 0) & ~entries.is_asked)
            for row in rows.tolist():
                at = int(entries.partitions[row]), int(entries.offsets[row])
                yield partition, entries.first + row, *at

    def _read(self, entries: _Entries, at: Ints) -> Published:
        file = self._spool.fileno()
        sizes, starts = entries.sizes[at].tolist(), entries.starts[at].tolist()
        contents = list(map(os.pread, repeat(file), sizes, starts))
        return Published(entries.partitions[at], entries.offsets[at], contents)


def _nothing(offsets: range) -> _Entries:
    count = len(offsets)
    zeros = np.zeros(count, np.int64)
    return _Entries(
        offsets.start,
        np.full(count, -1, np.int64),
        zeros,
        zeros.copy(),
        zeros.copy(),
        np.zeros(count, np.bool_),
    )


def _inside(
    entries: _Entries, partition: int, origins: tuple[Ints, Ints]
) -> tuple[Rows, Ints]:
    """Return the rows whose origins are kept here, and where."""
    partitions, offsets = origins
    at = offsets - entries.first
    is_here = (partitions == partition) & (at >= 0) & (at < len(entries.starts))
    return np.flatnonzero(is_here), at[is_here]
