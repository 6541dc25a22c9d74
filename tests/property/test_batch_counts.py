"""Batches that are counted together count as each of them by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference_builders import reference_of
from worker.drift import BinCounter
from worker.metrics import ModelFacts, WorkerMetrics
from worker.metrics.batches import KEPT_BATCHES, KEPT_RECORDS
from worker.metrics.exemplars import SLOW_SECONDS
from worker.pipeline import BatchResult, PartitionResult, Rejected
from worker.pipeline.examples import Examples, Payment
from worker.records import Reason, TopicPartition

TOPICS = ("transactions", "customer")
REFERENCE = reference_of(["amount"])
COUNTER = BinCounter(REFERENCE)
NOW_MS = 1_000_000

stamps = st.lists(
    st.sampled_from([-1, NOW_MS - 1, NOW_MS - int(2000 * SLOW_SECONDS), NOW_MS + 5]),
    max_size=6,
)
counts = st.integers(0, 3)


@st.composite
def parts(draw: st.DrawFn) -> PartitionResult:
    scored = np.array(draw(stamps), np.int64)
    reasons = draw(st.lists(st.sampled_from(list(Reason)), max_size=2))
    flagged = draw(st.lists(st.booleans(), min_size=len(scored), max_size=len(scored)))
    values = draw(st.lists(st.floats(0, 1), min_size=len(scored), max_size=len(scored)))
    bins = COUNTER.count(
        np.array(values).reshape(-1, 1), np.array(values), np.array(flagged, bool)
    )
    known = [ms for ms in scored.tolist() if ms >= 0]
    oldest = (Payment(0, 7), min(known)) if known else None
    return PartitionResult(
        epoch=1,
        next_offset=None,
        outputs=[],
        replayed=draw(counts),
        rejected=[Rejected(0, 0, reason, None) for reason in reasons],
        flagged=sum(flagged),
        late=draw(counts),
        duplicate=draw(counts),
        incomplete=draw(counts),
        timestamps_ms=np.append(scored, [NOW_MS] * len(reasons)).astype(np.int64),
        scored_timestamps_ms=scored,
        bins=draw(st.sampled_from([bins, None])),
        control_group=draw(counts),
        examples=lambda: Examples(late=Payment(0, 1), oldest=oldest),
    )


@st.composite
def batches(draw: st.DrawFn) -> tuple[BatchResult, float]:
    places = draw(
        st.sets(
            st.builds(TopicPartition, st.sampled_from(TOPICS), st.integers(0, 2)),
            min_size=1,
        )
    )
    of_places = {place: draw(parts()) for place in sorted(places)}
    seconds = {"decode": 0.001, "score": draw(st.floats(0, 1))}
    return BatchResult(of_places, seconds), NOW_MS / 1000 + draw(st.floats(0, 5))


def new_metrics() -> WorkerMetrics:
    facts = ModelFacts("1", "", "", 0.0, reference=REFERENCE)
    return WorkerMetrics(facts, app_version="1", topics=TOPICS, now=lambda: 0.0)


def samples(metrics: WorkerMetrics) -> dict[Any, Any]:
    return {
        (sample.name, *sample.labels.items()): (
            pytest.approx(sample.value, rel=1e-12, abs=1e-12),
            None if sample.exemplar is None else sample.exemplar.labels,
        )
        for family in metrics.store.collect()
        for sample in family.samples
    }


def commit(metrics: WorkerMetrics, batch: BatchResult, at: float) -> None:
    metrics.committed(batch, polled_at=at - 0.5, committed_at=at, commit_seconds=0.2)


@given(st.lists(batches(), max_size=8))
def test_batches_counted_together_are_counted_as_one_by_one(
    several: list[tuple[BatchResult, float]],
) -> None:
    together, one_by_one = new_metrics(), new_metrics()
    for batch, at in several:
        commit(together, batch, at)
        commit(one_by_one, batch, at)
        list(one_by_one.store.collect())

    assert samples(together) == samples(one_by_one)


@pytest.mark.parametrize(
    ("batch_count", "records"), [(KEPT_BATCHES, 1), (1, KEPT_RECORDS)]
)
def test_much_is_counted_at_once(batch_count: int, records: int) -> None:
    """Else it would take memory for as long as nobody looks."""
    metrics = new_metrics()
    scored = np.full(records, NOW_MS)
    part = PartitionResult(
        *(1, None, [], 0, [], 0, 0, 0, 0),
        timestamps_ms=scored,
        scored_timestamps_ms=scored,
    )
    batch = BatchResult({TopicPartition(TOPICS[0], 0): part}, {})

    for _ in range(batch_count):
        assert not is_counted(metrics)
        commit(metrics, batch, NOW_MS / 1000)

    assert is_counted(metrics)


def is_counted(metrics: WorkerMetrics) -> bool:
    """Look without being noticed."""
    noticing, metrics.store.before_reading = metrics.store.before_reading, lambda: None
    found = [
        sample.value
        for family in metrics.store.collect()
        for sample in family.samples
        if sample.name == "fraud_commits_total"
    ]
    metrics.store.before_reading = noticing
    return found != [0]
