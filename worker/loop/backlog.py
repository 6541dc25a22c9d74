"""Records that were polled and not yet answered: they wait here, in order."""

from __future__ import annotations

from collections.abc import Collection

from worker.pipeline import pick
from worker.records import RecordBatch, TopicPartition


class Backlog:
    """A queue of records; what is in it has not touched any state."""

    def __init__(self) -> None:
        self._waiting = RecordBatch()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, records: RecordBatch) -> None:
        """Put records behind those that wait; they belong to the queue from now on."""
        if len(self._waiting):
            self._waiting.extend(records)
        else:
            self._waiting = records

    def take(self, max_records: int) -> RecordBatch:
        """Return the first records, and keep the others."""
        taken, self._waiting = self._waiting, RecordBatch()
        if len(taken) > max_records:
            self._waiting = taken.cut(slice(max_records, None))
            taken = taken.cut(slice(None, max_records))
        return taken

    def drop(self, places: Collection[TopicPartition]) -> None:
        """Forget the records of partitions that have moved on."""
        gone = set(places)
        waiting = self._waiting
        origins = zip(waiting.topics, waiting.partitions, strict=True)
        kept = [row for row, place in enumerate(origins) if place not in gone]
        if len(kept) < len(waiting):
            self._waiting = pick(waiting, kept)
