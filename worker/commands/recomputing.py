"""Recomputes single payments: finds them, folds what led to them, and compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np

from worker.audit.claims import published_share, published_versions
from worker.audit.contents import Contents
from worker.audit.differences import InForce
from worker.audit.fold import FoldedRecords, LogFold
from worker.audit.pairing import Answers
from worker.audit.published import read_answers
from worker.audit.report import AuditReport
from worker.audit.scope import Scope
from worker.codec import Decoder
from worker.commands.clients import topology_of
from worker.commands.logs import Logs, event_time_of
from worker.commands.staged_recomputing import Passed, StagedRecomputing
from worker.commands.stream_audit import Models
from worker.config import Settings
from worker.errors import InvalidConfig
from worker.kafka.admin import Cluster
from worker.kafka.config import ClientSettings
from worker.kafka.reader import LogReader, Span
from worker.pipeline import Topology
from worker.pipeline.chain import ROUTE
from worker.records import TopicPartition
from worker.scoring import LoadedModel

#: How long to wait for an answer that an open commit hides, seconds.
_HIDDEN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Recomputed:
    """One record, what the fold says about it, and what is wrong with its answer.

    Attributes
    ----------
    row
        The record alone; its features are those of the fold.
    control_group_share
        As its answer names it; 0 where there is none.
    score
        As the model gives it, not rounded; None for a dead letter.
    published
        Its answer, None where there is none.
    differences
        Names of what differs; in an answer none without one.
    handed_on
        Its records between the stages, where there are several.
    """

    row: FoldedRecords
    model: LoadedModel
    threshold: float
    control_group_share: float
    score: float | None
    published: Answers | None
    differences: Sequence[str]
    notices: list[str] = field(default_factory=list)
    handed_on: Sequence[tuple[TopicPartition, int]] = ()


class Recomputing:
    """Reads what it needs from the broker; use it as a context manager."""

    def __init__(
        self,
        settings: Settings,
        client: ClientSettings,
        cluster: Cluster,
        models: Models,
    ):
        self._settings = settings
        self._cluster = cluster
        self._models = models
        self._reader = LogReader(client)
        self._logs = Logs(cluster, self._reader)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.close()

    def find(self, transaction_id: str) -> list[tuple[TopicPartition, int]]:
        """Return every accepted record with that id.

        Raises
        ------
        InvalidConfig
            There is none.
        """
        decoder = Decoder(self._models.current().spec.schema)
        places = self._cluster.partitions(self._settings.transactions_topic)
        found = []
        for place, bounds in self._cluster.bounds(places).items():
            for batch in self._reader.read(Span(place, bounds.start, bounds.end)):
                records = batch.records
                decoded = decoder.decode(
                    records.keys, records.values, records.timestamps_ms
                )
                ids = decoded.events.transaction_ids
                rows = [r for r, text in enumerate(ids) if text == transaction_id]
                found += [(place, records.offsets[decoded.rows[row]]) for row in rows]
        if not found:
            problem = f"no payment with the id {transaction_id} is in the topic"
            raise InvalidConfig([problem], subject="command line")
        return found

    def recompute(
        self, place: TopicPartition, offset: int, version: str | None
    ) -> Recomputed:
        """Recompute one record.

        Raises
        ------
        StateUnusable
            There is no such record, or not any more.
        InvalidConfig
            There is no such model version.
        """
        timestamp_ms = self._logs.record(place, offset).timestamps_ms[0]
        published = self._published(place, offset, timestamp_ms)
        model = self._model(version, published)
        topology = topology_of(self._settings, model.spec)
        passed = self._pass(topology, place, offset, model)
        overrides = (
            [] if self._settings.threshold is None else [self._settings.threshold]
        )
        contents = Contents(
            self._models.of,
            feature_fingerprint=model.spec.feature_fingerprint,
            in_force=InForce(tuple(overrides)),
            stage=ROUTE if topology.is_routed else None,
        )
        row = passed.row
        verdicts = contents.compare(row, published).verdicts if published else ()
        scores = model.scorer.score(row.X) if len(row.X) else row.X
        return Recomputed(
            row=row,
            model=model,
            threshold=overrides[0] if overrides else model.threshold,
            control_group_share=published_share(published),
            score=float(scores[0]) if len(scores) else None,
            published=published,
            differences=passed.differences + [verdict.what for verdict in verdicts],
            notices=passed.notices,
            handed_on=passed.handed_on,
        )

    def _pass(
        self,
        topology: Topology,
        place: TopicPartition,
        offset: int,
        model: LoadedModel,
    ) -> Passed:
        """Let the record pass the stages, each behind all that led to it."""
        if topology.inner:
            stages = StagedRecomputing(
                self._settings, topology, model, self._cluster, self._reader
            )
            return stages.follow(place, offset)
        scope = self._logs.scope(place, model.spec)
        return Passed(self._fold(scope, offset, model), [], [], scope.notices)

    def _published(
        self, consumed: TopicPartition, offset: int, timestamp_ms: int
    ) -> Answers | None:
        """Return the first answer to a record, None where there is none."""
        topics = (self._settings.scores_topic, self._settings.dead_letters_topic)
        for topic in topics:
            place = TopicPartition(topic, consumed.partition)
            bounds = self._logs.bounds(place)
            # An answer is younger than its record, unless clocks disagree.
            likely = self._cluster.offsets_at({place: timestamp_ms})[place]
            for start in dict.fromkeys((likely or bounds.start, bounds.start)):
                span = Span(place, start, bounds.end)
                answer = self._answer(span, consumed, offset)
                if answer is not None:
                    return answer
        return None

    def _answer(
        self, span: Span, consumed: TopicPartition, offset: int
    ) -> Answers | None:
        read = self._reader.read(
            span, with_headers=True, patience_seconds=_HIDDEN_SECONDS
        )
        for batch in read:
            answers = read_answers(
                batch.records,
                batch.headers,
                consumed=consumed,
                is_score=span.place.topic == self._settings.scores_topic,
                report=AuditReport(),
            )
            rows = np.flatnonzero(answers.origins == offset)
            if len(rows):
                return answers.take(rows[:1])
        return None

    def _model(self, version: str | None, published: Answers | None) -> LoadedModel:
        """Return the model asked for, else the one that scored, else that in use."""
        if version is not None:
            model = self._models.of(version)
            if model is None:
                problem = f"--model {version}: no such version in the models directory"
                raise InvalidConfig([problem], subject="command line")
            return model
        scored_by = None if published is None else published_versions(published)[0]
        scorer = None if scored_by is None else self._models.of(scored_by)
        return scorer or self._models.current()

    def _fold(self, scope: Scope, offset: int, model: LoadedModel) -> FoldedRecords:
        """Return the record with the features that the log before it gives it."""
        fold = LogFold(
            model.stages[-1],
            scope.place,
            start=scope.start,
            max_keys=self._settings.max_keys,
            max_events=self._settings.max_events,
        )
        time_ms = event_time_of(self._logs.record(scope.place, offset), model.spec)
        for records in self._logs.up_to(scope, offset, model.spec, time_ms):
            rows = fold.fold(records)
        return rows.take(np.array([len(rows.offsets) - 1]))
