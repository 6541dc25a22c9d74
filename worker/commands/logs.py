"""The logs of partitions as commands look at them: what is kept, and what led to it."""

from __future__ import annotations

from collections.abc import Iterator

from worker.audit.scope import Scope, scope_of
from worker.codec import Decoder
from worker.commands.clients import reach_of
from worker.errors import StateUnusable
from worker.features import Spec
from worker.kafka.admin import Cluster
from worker.kafka.reader import LogReader, Span
from worker.records import LogBounds, RecordBatch, TopicPartition


class Logs:
    """Asks the cluster, and reads one span at a time."""

    def __init__(self, cluster: Cluster, reader: LogReader):
        self._cluster = cluster
        self._reader = reader

    def bounds(self, place: TopicPartition) -> LogBounds:
        """Return what is kept; raises StateUnusable where there is no such place."""
        if place not in self._cluster.partitions(place.topic):
            raise StateUnusable(f"there is no {place.topic}/{place.partition}")
        return self._cluster.bounds([place])[place]

    def record(self, place: TopicPartition, offset: int) -> RecordBatch:
        """Return a record alone.

        Raises
        ------
        StateUnusable
            There is none, or not any more.
        """
        bounds = self.bounds(place)
        if bounds.start <= offset < bounds.end:
            for batch in self._reader.read(Span(place, offset, offset + 1)):
                return batch.records
        raise StateUnusable(
            f"{place.topic}/{place.partition}/{offset} holds no record: the log has "
            f"offsets {bounds.start} to {bounds.end - 1}, some of which are markers"
        )

    def scope(self, place: TopicPartition, spec: Spec) -> Scope:
        """Return where the group's fold of a partition begins, and what it lacks."""
        bounds = self.bounds(place)
        span = Span(place, bounds.start, bounds.end)
        removed_until_ms = self._reader.removed_until(span)
        committed = self._cluster.last_committed([place])[place]
        bounds = bounds._replace(removed_until_ms=removed_until_ms)
        return scope_of(place, bounds, committed, reach_of(spec))

    def start_at(self, place: TopicPartition, timestamp_ms: int) -> int | None:
        """Return the first offset no older than that; None without any."""
        return self._cluster.offsets_at({place: max(0, timestamp_ms)})[place]

    def up_to(
        self, scope: Scope, offset: int, spec: Spec, event_time_ms: int | None
    ) -> Iterator[RecordBatch]:
        """Yield what can matter to an event, and its record at last.

        Parameters
        ----------
        event_time_ms
            None where the record is no event, and nothing else matters to it.

        Raises
        ------
        StateUnusable
            The record is not there any more.
        """
        first = offset
        if event_time_ms is not None:
            needed_ms = reach_of(spec).first_needed_ms(event_time_ms)
            first = max(scope.fold_from, self.start_at(scope.place, needed_ms) or 0)
        span = Span(scope.place, min(first, offset), offset + 1)
        for batch in self._reader.read(span):
            yield batch.records
            if batch.records.offsets[-1] == offset:
                return
        raise StateUnusable(
            f"{scope.place.topic}/{scope.place.partition}/{offset} is gone"
        )


def event_time_of(record: RecordBatch, spec: Spec) -> int | None:
    """Return the event time of a transaction's record; None where it is rejected."""
    decoded = Decoder(spec.schema).decode(
        record.keys, record.values, record.timestamps_ms
    )
    return int(decoded.events.event_time_ms[0]) if len(decoded.rows) else None
