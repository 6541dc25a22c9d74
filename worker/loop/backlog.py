"""Records that were polled while a result was held: they wait here, in order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields

from worker.records import RecordBatch, TopicPartition

_COLUMNS = tuple(field.name for field in fields(RecordBatch))


class Backlog:
    """A queue of records; what is in it has not touched any state."""

    def __init__(self) -> None:
        self._waiting = RecordBatch()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, records: RecordBatch) -> None:
        """Put records behind those that wait."""
        for column in _COLUMNS:
            getattr(self._waiting, column).extend(getattr(records, column))

    def take(self, max_records: int) -> RecordBatch:
        """Return the first records, and keep the others."""
        taken = self._cut(slice(None, max_records))
        self._waiting = self._cut(slice(max_records, None))
        return taken

    def drop(self, places: Collection[TopicPartition]) -> None:
        """Forget the records of partitions that have moved on."""
        gone = set(places)
        waiting = self._waiting
        origins = zip(waiting.topics, waiting.partitions, strict=True)
        kept = [row for row, place in enumerate(origins) if place not in gone]
        if len(kept) < len(waiting):
            self._waiting = RecordBatch(
                *(
                    [getattr(waiting, column)[row] for row in kept]
                    for column in _COLUMNS
                )
            )

    def _cut(self, rows: slice) -> RecordBatch:
        return RecordBatch(
            *(getattr(self._waiting, column)[rows] for column in _COLUMNS)
        )
