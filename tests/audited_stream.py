"""Audits published records against the log, as `verify` does, without a broker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.streams import PLACE
from worker.audit.contents import Contents
from worker.audit.differences import InForce
from worker.audit.fold import FoldedRecords, FoldStart, LogFold
from worker.audit.pairing import PartitionAudit
from worker.audit.published import read_answers
from worker.audit.report import AuditReport
from worker.records import Output, RecordBatch
from worker.scoring import LoadedModel


def audit_stream(
    models: Sequence[LoadedModel],
    records: RecordBatch,
    outputs: Sequence[Output],
    *,
    first: int = 0,
    thresholds: Sequence[float] = (),
    shares: Sequence[float] | None = None,
    start: FoldStart | None = None,
    versions_left: set[str] | None = None,
) -> AuditReport:
    """Audit one partition; the first model's spec is the one that is folded."""
    report = AuditReport()
    by_version = {model.version: model for model in models}
    contents = Contents(
        by_version.get,
        feature_fingerprint=models[0].spec.feature_fingerprint,
        in_force=InForce(tuple(thresholds), None if shares is None else tuple(shares)),
    )
    fold = LogFold(
        models[0].stages[0],
        PLACE,
        start=start or FoldStart(),
        max_keys=10_000,
        max_events=100_000,
    )
    rows = fold.fold(records)
    audit: PartitionAudit[FoldedRecords] = PartitionAudit(
        PLACE,
        first=first,
        end=records.offsets[-1] + 1,
        compare=contents.compare,
        report=report,
    )
    audit.expect(rows.take(np.flatnonzero(rows.offsets >= first)))
    for topic, is_score in (("scores", True), ("dead-letters", False)):
        published = [output for output in outputs if output.topic == topic]
        if published:
            batch, headers = as_records(published)
            audit.publish(
                read_answers(
                    batch, headers, consumed=PLACE, is_score=is_score, report=report
                )
            )
    audit.finish()
    if versions_left is not None:
        versions_left.update(contents.other_versions)
    return report


def as_records(
    outputs: Sequence[Output],
) -> tuple[RecordBatch, list[list[tuple[str, bytes]]]]:
    """Outputs of one topic as a reader of that topic would get them."""
    batch = RecordBatch(
        [output.topic for output in outputs],
        [output.partition for output in outputs],
        list(range(len(outputs))),
        [-1] * len(outputs),
        [output.key for output in outputs],
        [output.value for output in outputs],
    )
    return batch, [list(output.headers) for output in outputs]
