"""Audits partitions one after the other: reads, folds, pairs, in bounded memory.

Owns the walk over the topics; what is right and what is wrong, worker.audit decides.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from worker.audit.contents import Contents
from worker.audit.differences import InForce
from worker.audit.fold import LogFold
from worker.audit.report import AuditReport, Finding
from worker.audit.scope import Scope
from worker.bundle import versions
from worker.commands.clients import open_bundle
from worker.commands.partition_walk import Published, Walk
from worker.config import Settings
from worker.kafka.admin import Cluster
from worker.kafka.config import ClientSettings
from worker.kafka.reader import LogReader, Span
from worker.records import TopicPartition
from worker.scoring import LoadedModel, load_model

#: New objects before the next look for garbage in cycles: many batches.
_COLLECT_OBJECTS = 5_000_000

#: How often progress is told, seconds.
_PROGRESS_SECONDS = 5.0


class Models:
    """The bundles of a directory, each loaded once, when it is first asked for."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._loaded: dict[str, LoadedModel | None] = {}

    def current(self) -> LoadedModel:
        """Return the model in use; raises BundleRejected."""
        model = load_model(open_bundle(self._settings))
        self._loaded[model.version] = model
        return model

    def of(self, version: str) -> LoadedModel | None:
        """Return a version's model, None where there is none; raises BundleRejected."""
        if version not in self._loaded:
            is_there = version in versions(self._settings.models_dir)
            bundle = open_bundle(self._settings, version) if is_there else None
            self._loaded[version] = None if bundle is None else load_model(bundle)
        return self._loaded[version]


@dataclass(slots=True)
class Progress:
    """Tells now and then how far a long audit is."""

    say: Callable[[str], None]
    total: int
    done: int = 0
    told: float = field(default_factory=time.monotonic)

    def add(self, count: int) -> None:
        """Count records that were read."""
        self.done += count
        if time.monotonic() - self.told > _PROGRESS_SECONDS:
            self.told = time.monotonic()
            self.say(f"read {self.done:,} of about {self.total:,} payments")


class StreamAudit:
    """Audits what a group answered.

    Parameters
    ----------
    in_force
        What was set for the workers that answered.
    """

    def __init__(
        self,
        settings: Settings,
        client: ClientSettings,
        cluster: Cluster,
        *,
        models: Models,
        in_force: InForce,
        say: Callable[[str], None],
    ):
        self._settings = settings
        self._client = client
        self._cluster = cluster
        self._models = models
        self._in_force = in_force
        self._say = say
        self._topics = {
            True: settings.scores_topic,
            False: settings.dead_letters_topic,
        }

    def run(self, scopes: Sequence[Scope], report: AuditReport) -> None:
        """Audit partitions into the report.

        Answers of models with another spec than the one in use are compared in a
        further pass each, since they need a fold of their own.
        """
        model = self._models.current()
        with _rare_collections():
            self._run(model, scopes, report)

    def _run(
        self, model: LoadedModel, scopes: Sequence[Scope], report: AuditReport
    ) -> None:
        others = self._pass(model, scopes, report)
        done = {model.spec.feature_fingerprint}
        for version in sorted(others):
            other = self._models.of(version)
            assert other is not None, "only known versions are left for later"
            if other.spec.feature_fingerprint not in done:
                done.add(other.spec.feature_fingerprint)
                _merge(report, self._extra_pass(other, scopes, report.max_examples))

    def _extra_pass(
        self, model: LoadedModel, scopes: Sequence[Scope], max_examples: int
    ) -> AuditReport:
        self._say(f"once more, for the answers of model {model.version}")
        scratch = AuditReport(max_examples)
        self._pass(model, scopes, scratch)
        return scratch

    def _pass(
        self, model: LoadedModel, scopes: Sequence[Scope], report: AuditReport
    ) -> set[str]:
        contents = Contents(
            self._models.of,
            feature_fingerprint=model.spec.feature_fingerprint,
            in_force=self._in_force,
        )
        progress = Progress(self._say, sum(s.end - s.fold_from for s in scopes))
        with (
            LogReader(self._client) as log,
            LogReader(self._client) as scores,
            LogReader(self._client) as dead_letters,
        ):
            for scope in scopes:
                published = {
                    True: self._published(scores, scope, report, is_score=True),
                    False: self._published(dead_letters, scope, report, is_score=False),
                }
                fold = self._fold(model, scope)
                walk = Walk(scope, fold, published, contents.compare, report)
                for batch in log.read(Span(scope.place, scope.fold_from, scope.limit)):
                    walk.step(batch.records)
                    progress.add(len(batch))
                walk.finish()
                pending = log.read(Span(scope.place, scope.limit, scope.end))
                report.pend(sum(len(batch) for batch in pending))
        return contents.other_versions

    def _fold(self, model: LoadedModel, scope: Scope) -> LogFold:
        return LogFold(
            model.stages[-1],
            scope.place,
            start=scope.start,
            max_keys=self._settings.max_keys,
            max_events=self._settings.max_events,
        )

    def _published(
        self, reader: LogReader, scope: Scope, report: AuditReport, *, is_score: bool
    ) -> Published:
        """Return what was published on the partition of the same number."""
        place = TopicPartition(self._topics[is_score], scope.place.partition)
        start = self._cluster.bounds([place])[place].start
        span = Span(place, start, self._cluster.open_ends([place])[place])
        return Published(reader, span, scope.place, report, is_score=is_score)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for cycles seldom: records make none, and the search takes a third."""
    thresholds = gc.get_threshold()
    gc.set_threshold(_COLLECT_OBJECTS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def _merge(report: AuditReport, extra: AuditReport) -> None:
    """Add what only a further pass could compare; the rest was counted before."""
    report.compared += extra.compared
    report.not_compared += extra.not_compared
    different = [e for e in extra.examples if e.finding is Finding.DIFFERENT]
    report.add(Finding.DIFFERENT, extra.counts[Finding.DIFFERENT], different)
