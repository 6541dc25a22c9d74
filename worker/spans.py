"""Where the records of one partition follow each other in a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby, pairwise
from typing import NamedTuple

from worker.records import RecordBatch, TopicPartition


class Span(NamedTuple):
    """The rows [first, last) of a batch: records of one partition."""

    place: TopicPartition
    first: int
    last: int


def spans_of(records: RecordBatch) -> list[Span]:
    """Return the spans of a batch, in its order; a partition may have several.

    >>> records = RecordBatch(["a", "a", "a"], [0, 0, 1], values=[b"", b"", b""])
    >>> [(span.place.partition, span.first, span.last) for span in spans_of(records)]
    [(0, 0, 2), (1, 2, 3)]
    """
    topics, partitions = records.topics, records.partitions
    edges = sorted({0, *_ends(topics), *_ends(partitions)})
    return [
        Span(TopicPartition(topics[first], partitions[first]), first, last)
        for first, last in pairwise(edges)
    ]


def _ends(items: Sequence[object]) -> Iterator[int]:
    """Yield the rows before which equal items end."""
    return accumulate(len(list(run)) for _, run in groupby(items))
