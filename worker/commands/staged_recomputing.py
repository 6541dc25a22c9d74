"""Recomputes a payment of a spec with stages: each stage's log, up to its record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from worker.audit.fold import FoldedRecords
from worker.audit.stage_fold import FoldedEvents, InsideFold, OutsideFold
from worker.codec import Decoder
from worker.codec.forwarding import ForwardingCodec, NotForwarded
from worker.commands.logs import Logs, event_time_of
from worker.commands.samples import murmur2
from worker.config import Settings
from worker.errors import StateUnusable
from worker.kafka.admin import Cluster
from worker.kafka.reader import LogReader, Span
from worker.pipeline import Topology
from worker.pipeline.chain import codec_of
from worker.records import RecordBatch, TopicPartition
from worker.scoring import LoadedModel

#: How long to wait for a record that an open commit hides, seconds.
_HIDDEN_SECONDS = 2.0


class Passed(NamedTuple):
    """A payment behind all stages.

    Attributes
    ----------
    row
        The record of the transaction, with the features of the last stage's fold.
    handed_on
        Its records between the stages.
    differences
        Which of those do not say what the stage before has to say.
    """

    row: FoldedRecords
    handed_on: list[tuple[TopicPartition, int]]
    differences: list[str]
    notices: list[str]


class StagedRecomputing:
    """Follows a payment through the topics of a model's stages."""

    def __init__(
        self,
        settings: Settings,
        topology: Topology,
        model: LoadedModel,
        cluster: Cluster,
        reader: LogReader,
    ):
        self._limits = {
            "max_keys": settings.max_keys,
            "max_events": settings.max_events,
        }
        self._topology = topology
        self._model = model
        self._cluster = cluster
        self._reader = reader
        self._logs = Logs(cluster, reader)

    def follow(self, place: TopicPartition, offset: int) -> Passed:
        """Recompute one record of the transactions.

        Raises
        ------
        StateUnusable
            It is not there any more, or has not been handed on, or an inner topic
            holds what no stage has written.
        """
        topology, spec = self._topology, self._model.spec
        handed_on, differences, notices = [], [], list[str]()
        record = self._logs.record(place, offset)
        events, rejected = self._outside(place, record, notices)
        if not len(events.rows):
            return Passed(rejected, [], [], notices)
        for stage in range(0 if topology.is_routed else 1, len(topology.stages)):
            codec, topic = codec_of(spec, stage), topology.stages[stage]
            (key,), (value,) = codec.encode_events(
                events.batch, events.origins, events.flags, events.X
            )
            found = self._find(codec, topic, (place, offset), key, record)
            inner = TopicPartition(topic, found.partitions[0])
            handed_on.append((inner, found.offsets[0]))
            if events.comparable[0] and (key, value) != (
                found.keys[0],
                found.values[0],
            ):
                differences.append(f"what was handed on to {topic}")
            events = self._inside(stage, inner, found, events, notices)
        row = events.to_be_scored(topology.transactions, np.arange(1))
        row = replace(row, timestamps_ms=record.timestamps_ms)
        return Passed(row, handed_on, differences, notices)

    def _outside(
        self, place: TopicPartition, record: RecordBatch, notices: list[str]
    ) -> tuple[FoldedEvents, FoldedRecords]:
        """Return the transaction as the first stage sees it, or why that rejects it."""
        spec, scope = self._model.spec, self._logs.scope(place, self._model.spec)
        notices += scope.notices
        fold = OutsideFold(
            Decoder(spec.schema),
            None if self._topology.is_routed else self._model.stages[0],
            place,
            start=scope.start,
            rekey=spec.schema.keys[0] if spec.schema.rekey else None,
            **self._limits,
        )
        time_ms = event_time_of(record, spec)
        if self._topology.is_routed or time_ms is None:
            return fold.fold(record)
        for records in self._logs.up_to(scope, record.offsets[0], spec, time_ms):
            events, rejected = fold.fold(records)
        return events.take(np.array([len(events.rows) - 1])), rejected

    def _inside(
        self,
        stage: int,
        place: TopicPartition,
        found: RecordBatch,
        event: FoldedEvents,
        notices: list[str],
    ) -> FoldedEvents:
        """Return the event behind a stage, whose log is folded up to its record."""
        spec, scope = self._model.spec, self._logs.scope(place, self._model.spec)
        notices += scope.notices
        fold = InsideFold(
            codec_of(spec, stage),
            self._model.stages[stage],
            start=scope.start,
            **self._limits,
        )
        time_ms = int(event.batch.event_time_ms[0])
        for records in self._logs.up_to(scope, found.offsets[0], spec, time_ms):
            with _all_ours(records):
                events = fold.fold(records)
        return events.take(np.array([len(events.rows) - 1]))

    def _find(
        self,
        codec: ForwardingCodec,
        topic: str,
        origin: tuple[TopicPartition, int],
        key: bytes,
        record: RecordBatch,
    ) -> RecordBatch:
        """Return the record by which a transaction was handed on, alone."""
        places = self._cluster.partitions(topic)
        if not places:
            raise StateUnusable(f"there is no topic {topic}")
        likely = murmur2(key) % len(places)
        partition, offset = origin[0].partition, origin[1]
        for place in sorted(places, key=lambda p: p.partition != likely):
            for records in self._since(place, record.timestamps_ms[0]):
                with _all_ours(records):
                    found = codec.decode(records)
                is_it = found.origins.partitions == partition
                at = np.flatnonzero(is_it & (found.origins.offsets == offset))
                if len(at):
                    row = int(found.rows[at[0]])
                    return self._logs.record(place, records.offsets[row])
        raise StateUnusable(
            f"{origin[0].topic}/{partition}/{offset} has not been handed on to "
            f"{topic}, by which its features are decided: it is not yet answered, or "
            "`fraud-worker verify` names it"
        )

    def _since(self, place: TopicPartition, timestamp_ms: int) -> Iterator[RecordBatch]:
        """Yield what a partition holds since then: what is handed on keeps its time."""
        start = self._logs.start_at(place, timestamp_ms)
        if start is None:
            return
        span = Span(place, start, self._logs.bounds(place).end)
        for batch in self._reader.read(span, patience_seconds=_HIDDEN_SECONDS):
            yield batch.records


@contextmanager
def _all_ours(records: RecordBatch) -> Iterator[None]:
    """Raises StateUnusable where one of the records was not written by a stage."""
    try:
        yield
    except NotForwarded as error:
        row = error.row
        at = f"{records.topics[row]}/{records.partitions[row]}/{records.offsets[row]}"
        raise StateUnusable(f"{at} was not written by a stage") from None
