"""Audits a stream of several stages: each topic's log is folded, and its outputs found.

Owns the walk over the topics; what is right and what is wrong, worker.audit decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import numpy as np

from worker.audit.contents import Contents
from worker.audit.differences import InForce
from worker.audit.fold import FoldedRecords
from worker.audit.hops import (
    Differences,
    differing_digests,
    differing_letters,
    differing_scores,
    digest,
)
from worker.audit.report import AuditReport
from worker.audit.scope import Scope
from worker.audit.stage_fold import FoldedEvents, InsideFold, OutsideFold
from worker.codec import Decoder
from worker.codec.forwarding import encode_labels, record_keys
from worker.codec.labels import label_schema
from worker.commands.staged_ledgers import StagedLedgers
from worker.commands.stream_audit import Models
from worker.config import Settings
from worker.kafka.admin import Cluster
from worker.kafka.config import ClientSettings
from worker.kafka.reader import LogReader, Span
from worker.pipeline import Topology
from worker.pipeline.chain import LABELS, ROUTE, codec_of, label_targets
from worker.records import RecordBatch, TopicPartition
from worker.scoring import LoadedModel

#: How often progress is told, seconds.
_TELL_SECONDS = 5.0


class StagedAudit:
    """Audits what a group answered by way of several stages.

    Parameters
    ----------
    in_force
        What was set for the workers that answered.
    """

    def __init__(
        self,
        settings: Settings,
        topology: Topology,
        *,
        models: Models,
        in_force: InForce,
        say: Callable[[str], None],
    ):
        self._settings = settings
        self._topology = topology
        self._models = models
        self._in_force = in_force
        self._say = say
        self._told = time.monotonic()

    def run(
        self,
        client: ClientSettings,
        cluster: Cluster,
        scopes: Sequence[Scope],
        report: AuditReport,
    ) -> None:
        """Audit all partitions of all topics that are read into the report."""
        model = self._models.current()
        with ExitStack() as closing:
            reader = closing.enter_context(LogReader(client))
            ledgers = StagedLedgers(model.spec, self._topology, scopes, report, closing)
            ledgers.fill(cluster, reader)
            audit = _Audit(
                self._settings, self._topology, model, ledgers, self._comparing, report
            )
            for scope in scopes:
                check = audit.checker(scope)
                self._tell(f"folding {scope.place.topic}/{scope.place.partition}")
                for batch in reader.read(Span(scope.place, scope.fold_from, scope.end)):
                    check(batch.records)
            ledgers.finish()
            audit.note_other_versions()

    def _tell(self, what: str) -> None:
        """Say now and then what a long audit is doing."""
        now = time.monotonic()
        if now - self._told > _TELL_SECONDS:
            self._told = now
            self._say(what)

    def _comparing(self, model: LoadedModel, stage: str) -> Contents:
        return Contents(
            self._models.of,
            feature_fingerprint=model.spec.feature_fingerprint,
            in_force=self._in_force,
            stage=stage,
        )


class _Audit:
    """Checks batches of records of each topic against the ledgers."""

    def __init__(
        self,
        settings: Settings,
        topology: Topology,
        model: LoadedModel,
        ledgers: StagedLedgers,
        comparing: Callable[[LoadedModel, str], Contents],
        report: AuditReport,
    ):
        self._limits = {
            "max_keys": settings.max_keys,
            "max_events": settings.max_events,
        }
        self._topology = topology
        self._model = model
        self._ledgers = ledgers
        self._report = report
        first = ROUTE if topology.is_routed else model.spec.entities[0].name
        self._contents = {
            topology.transactions: comparing(model, first),
            topology.labels: comparing(model, LABELS),
        }

    def checker(self, scope: Scope) -> Callable[[RecordBatch], None]:
        """Return what takes the records of a partition, batch by batch, in order."""
        topology, topic, spec = self._topology, scope.place.topic, self._model.spec
        if topic in topology.inner:
            stage = topology.stages.index(topic)
            inside = InsideFold(
                codec_of(spec, stage),
                self._model.stages[stage],
                start=scope.start,
                **self._limits,
            )
            return lambda records: self._check_inside(
                scope, stage, records, inside.fold(records)
            )
        decoder, is_rekeyed = Decoder(spec.schema), spec.schema.rekey
        if topic == topology.labels:
            is_rekeyed = False
            keys = [key for _, key in label_targets(spec, topology)]
            decoder = Decoder(label_schema(spec.schema, keys), key_is_entity=None)
        outside = OutsideFold(
            decoder,
            self._model.stages[0] if topic in topology.stages else None,
            scope.place,
            start=scope.start,
            rekey=spec.schema.keys[0] if is_rekeyed else None,
            **self._limits,
        )
        return lambda records: self._check_outside(
            scope, records, *outside.fold(records)
        )

    def note_other_versions(self) -> None:
        """Say which models' answers were not compared."""
        others = set().union(*(c.other_versions for c in self._contents.values()))
        if others:
            versions = ", ".join(sorted(others))
            self._report.notices.append(
                f"the answers of {versions} are not compared: their spec is another"
            )

    def _check_outside(
        self,
        scope: Scope,
        records: RecordBatch,
        events: FoldedEvents,
        rejected: FoldedRecords,
    ) -> None:
        place, report = scope.place, self._report
        audited, pending = _within(scope, records)
        is_labels = place.topic == self._topology.labels
        report.labels += len(audited) if is_labels else 0
        report.events += 0 if is_labels else len(audited)
        report.pend(0 if is_labels else len(pending))
        letters = self._topology.dead_letters
        origins = np.full(len(rejected.offsets), place.partition), rejected.offsets
        contents = self._contents[place.topic]
        report.dead_letters += self._ledgers.of(place.topic, letters).check(
            place,
            origins,
            np.array(rejected.timestamps_ms, np.int64),
            differing_letters(
                rejected, TopicPartition(letters, place.partition), contents, report
            ),
        )
        if is_labels:
            self._check_labels(place, records, events)
        else:
            stage = 0 if self._topology.is_routed else 1
            self._check_handed_on(place, stage, records, events)

    def _check_labels(
        self, place: TopicPartition, records: RecordBatch, labels: FoldedEvents
    ) -> None:
        values = encode_labels(labels.batch, labels.origins)
        for topic, key in label_targets(self._model.spec, self._topology):
            keys = record_keys(labels.batch.columns[key])
            expected = list(map(digest, keys, values))
            differences = differing_digests(expected, "the label that was handed on")
            self._check(place, topic, records, labels, differences)

    def _check_handed_on(
        self,
        place: TopicPartition,
        stage: int,
        records: RecordBatch,
        events: FoldedEvents,
    ) -> None:
        """Check what a stage reads against what the one before must have written."""
        codec = codec_of(self._model.spec, stage)
        encoded = codec.encode_events(
            events.batch, events.origins, events.flags, events.X
        )
        differences = differing_digests(
            list(map(digest, *encoded)), "the features that were handed on"
        )
        topic = self._topology.stages[stage]
        self._check(place, topic, records, events, differences)

    def _check_inside(
        self, scope: Scope, stage: int, records: RecordBatch, events: FoldedEvents
    ) -> None:
        topology, report = self._topology, self._report
        if stage + 1 < len(topology.stages):
            self._check_handed_on(scope.place, stage + 1, records, events)
            return
        offsets = np.array(records.offsets, np.int64)[events.rows]
        late = np.flatnonzero(offsets >= scope.limit)
        if len(late):
            origins = events.origins.take(late)
            scores = self._ledgers.of(topology.transactions, topology.scores)
            scores.ledger.ask((origins.partitions, origins.offsets))
            report.pend(len(late))
            events = events.take(np.flatnonzero(offsets < scope.limit))
        differences = differing_scores(
            events, topology, self._contents[topology.transactions], report
        )
        report.scores += self._check(
            scope.place, topology.scores, records, events, differences
        )

    def _check(
        self,
        place: TopicPartition,
        published: str,
        records: RecordBatch,
        events: FoldedEvents,
        differences: Differences,
    ) -> int:
        is_label = place.topic == self._topology.labels
        topic = place.topic if is_label else self._topology.transactions
        origins = events.origins.partitions, events.origins.offsets
        stamps = np.array(records.timestamps_ms, np.int64)[events.rows]
        hop = self._ledgers.of(topic, published)
        return hop.check(place, origins, stamps, differences)


def _within(scope: Scope, records: RecordBatch) -> tuple[list[int], list[int]]:
    """Return the offsets that must have been answered, and those that wait."""
    audited = [o for o in records.offsets if scope.first <= o < scope.limit]
    return audited, [o for o in records.offsets if o >= scope.limit]
