"""Metrics: every series from the start, bounded labels, right counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.promtool import promtool
from tests.reference_builders import reference_of
from worker.drift import BinCounter
from worker.metrics import (
    CATALOGUE,
    REFERENCE_CATALOGUE,
    TRUTH_CATALOGUE,
    AbortReason,
    ModelFacts,
    Rebalance,
    WorkerMetrics,
    catalogue,
    exposition,
    metrics_table,
    reference_exposition,
)
from worker.metrics.batches import DECISIONS
from worker.metrics.recording import (
    PARTITION_GAUGES,
    STAGES,
    TRUST_SECONDS,
)
from worker.pipeline import BatchResult, PartitionResult, Rejected
from worker.records import NextOffset, Reason, TopicPartition

PLACE = TopicPartition("transactions", 3)
MODEL = ModelFacts("2018-07-31.1", "a" * 64, "b" * 64, 1_533_000_000.0)

Series = tuple[str, frozenset[str]]

#: Families that the client library adds about the process.
OF_THE_PROCESS = ("process_", "python_")


def new_metrics() -> WorkerMetrics:
    return WorkerMetrics(
        MODEL, app_version="0.1.0", topics=["transactions"], now=lambda: 1000.0
    )


def series(name: str, *labels: str) -> Series:
    """A series by its name and label values, which come in any order."""
    return name, frozenset(labels)


def series_of(metrics: WorkerMetrics) -> dict[Series, float]:
    """The worker's own series as a scrape sees them."""
    return {
        series(sample.name, *sample.labels.values()): sample.value
        for sample in samples_of(metrics)
        if not sample.name.startswith(OF_THE_PROCESS)
    }


def samples_of(metrics: WorkerMetrics) -> Iterator[Sample]:
    text = exposition(metrics)("")[0].decode()
    for family in text_string_to_metric_families(text):
        yield from family.samples


def result_of(
    scored_ms: list[int], reasons: list[Reason], *, replayed: int = 0
) -> BatchResult:
    """Scores first, dead letters after them; the first score is flagged."""
    rejected = [
        Rejected(position, position, reason, None)
        for position, reason in enumerate(reasons, len(scored_ms))
    ]
    stamps = scored_ms + [0] * len(reasons)
    part = PartitionResult(
        epoch=1,
        next_offset=NextOffset(len(stamps), "") if stamps else None,
        outputs=[],
        replayed=replayed,
        rejected=rejected,
        flagged=min(1, len(scored_ms)),
        late=2,
        duplicate=3,
        incomplete=4,
        timestamps_ms=np.array(stamps, np.int64),
        scored_timestamps_ms=np.array(scored_ms, np.int64),
        control_group=5,
    )
    seconds = dict.fromkeys(("decode", "transform", "score", "encode"), 0.002)
    return BatchResult({PLACE: part}, seconds)


def commit(metrics: WorkerMetrics, result: BatchResult) -> None:
    metrics.committed(result, polled_at=100.0, committed_at=101.0, commit_seconds=0.01)


def test_every_closed_series_begins_at_0() -> None:
    version = MODEL.version
    found = series_of(new_metrics())

    expected = {
        series("fraud_events_consumed_total", "transactions"),
        *(series("fraud_events_scored_total", version, d) for d in DECISIONS),
        *(series("fraud_dlq_events_total", reason) for reason in Reason),
        *(series("fraud_commit_aborts_total", reason) for reason in AbortReason),
        *(series("fraud_kafka_rebalances_total", event) for event in Rebalance),
        *(series("fraud_batch_stage_duration_seconds_count", s) for s in STAGES),
        series("fraud_events_control_group_total", version),
        series("fraud_event_to_score_seconds_count", version),
        series("fraud_queue_wait_seconds_count"),
        series("fraud_batch_size_events_count"),
        *(series(m.name) for m in CATALOGUE if not m.labels and not m.edges),
    }
    assert {name: found[name] for name in expected} == dict.fromkeys(expected, 0)


def test_only_series_that_say_what_runs_begin_above_0() -> None:
    found = series_of(new_metrics())

    assert {name for (name, _), value in found.items() if value} == {
        "fraud_build_info",
        "fraud_model_info",
        "fraud_model_trained_timestamp_seconds",
    }


def test_the_self_test_tells_what_it_measured() -> None:
    model = replace(MODEL, selftest_error=3e-16)
    metrics = WorkerMetrics(model, app_version="0.1.0", topics=["transactions"])

    assert metrics.store.value(catalogue.MODEL_SELFTEST, MODEL.version) == 3e-16


def test_no_series_tells_when_it_was_created() -> None:
    names = {sample.name for sample in samples_of(new_metrics())}

    assert names == {name.removesuffix("_created") for name in names}


def test_names_and_labels_are_those_of_the_catalogue() -> None:
    metrics = drifting_metrics()
    metrics.rebalanced(Rebalance.ASSIGNED, [PLACE])
    measure(metrics, PLACE)

    found = {
        (re.sub("_(bucket|sum|count)$", "", s.name), tuple(s.labels.keys() - {"le"}))
        for s in samples_of(metrics)
        if not s.name.startswith(OF_THE_PROCESS)
    }

    declared = {(metric.name, frozenset(metric.labels)) for metric in CATALOGUE}
    assert {(name, frozenset(labels)) for name, labels in found} == declared
    assert len({metric.name for metric in CATALOGUE}) == len(CATALOGUE)


def test_the_table_has_a_line_for_each_metric() -> None:
    lines = metrics_table().splitlines()[2:]

    names = [line.split("`")[1] for line in lines]
    declared = CATALOGUE + REFERENCE_CATALOGUE + TRUTH_CATALOGUE
    assert names == [metric.name for metric in declared]


def measure(metrics: WorkerMetrics, place: TopicPartition) -> None:
    metrics.set_lag(place, 7, since=999.5, told_at=999.0)
    metrics.set_headroom(place, 9)
    metrics.set_restore(place, 3)
    metrics.set_progress(place, 0.25)
    metrics.set_state(place, 11, 13, 15)
    metrics.set_snapshot_age(place, 17.0)
    metrics.set_replay_exposure(place, 19)


@pytest.mark.parametrize("event", [Rebalance.REVOKED, Rebalance.LOST])
def test_series_of_a_partition_end_with_its_assignment(event: Rebalance) -> None:
    metrics = new_metrics()
    other = TopicPartition("transactions", 4)
    metrics.rebalanced(Rebalance.ASSIGNED, [PLACE, other])
    measure(metrics, PLACE)
    measure(metrics, other)

    metrics.rebalanced(event, [PLACE])
    measure(metrics, PLACE)

    places = {labels for _, labels in series_of(metrics) if "transactions" in labels}
    assert places == {frozenset({"transactions"}), frozenset({"transactions", "4"})}
    assert metrics.store.value(catalogue.KAFKA_ASSIGNED_PARTITIONS) == 1
    assert metrics.store.value(catalogue.KAFKA_REBALANCES, event) == 1


def test_a_partition_has_every_gauge_while_it_is_assigned() -> None:
    metrics = new_metrics()
    metrics.rebalanced(Rebalance.ASSIGNED, [PLACE])
    measure(metrics, PLACE)

    values = [metrics.store.value(g, "transactions", "3") for g in PARTITION_GAUGES]

    assert values == [7, 0.5, 999.0, 9, 3, 0.25, 11, 13, 15, 17.0, 19]


def lag_seconds(*, messages: int, since: float, told_at: float, now: float) -> float:
    metrics = WorkerMetrics(
        MODEL, app_version="0.1.0", topics=["transactions"], now=lambda: now
    )
    metrics.rebalanced(Rebalance.ASSIGNED, [PLACE])
    metrics.set_lag(PLACE, messages, since=since, told_at=told_at)
    return series_of(metrics)[series("fraud_kafka_lag_seconds", "transactions", "3")]


def test_a_lag_grows_by_the_clock_although_nobody_sets_it() -> None:
    seconds = [
        lag_seconds(messages=7, since=100.0, told_at=110.0, now=now)
        for now in (99.0, 110.0, 170.0)
    ]

    assert seconds == [0.0, 10.0, 70.0]


def test_that_nothing_waits_is_believed_for_a_while_only() -> None:
    told_at = 110.0
    seconds = [
        lag_seconds(messages=0, since=told_at, told_at=told_at, now=told_at + passed)
        for passed in (0.0, TRUST_SECONDS - 0.5, TRUST_SECONDS, 60.0)
    ]

    assert seconds == [0.0, 0.0, TRUST_SECONDS, 60.0]


def test_a_committed_batch_is_counted() -> None:
    metrics = new_metrics()
    reasons = [Reason.NOT_JSON, Reason.EMPTY, Reason.NOT_JSON]

    commit(metrics, result_of([99_000, 99_900], reasons, replayed=5))

    value = metrics.store.value
    assert value(catalogue.EVENTS_CONSUMED, "transactions") == 5
    assert value(catalogue.EVENTS_SCORED, MODEL.version, "flagged") == 1
    assert value(catalogue.EVENTS_SCORED, MODEL.version, "passed") == 1
    assert value(catalogue.EVENTS_CONTROL_GROUP, MODEL.version) == 5
    assert value(catalogue.EVENTS_REPLAYED) == 5
    assert value(catalogue.DLQ_EVENTS, "not_json") == 2
    assert value(catalogue.DLQ_EVENTS, "empty") == 1
    assert value(catalogue.EVENTS_LATE) == 2
    assert value(catalogue.EVENTS_DUPLICATE) == 3
    assert value(catalogue.EVENTS_INCOMPLETE) == 4
    assert value(catalogue.COMMITS) == 1
    assert value(catalogue.WORKER_LAST_SCORE) == 101.0
    found = series_of(metrics)
    assert found[series("fraud_batch_size_events_sum")] == 10
    sum_name = "fraud_event_to_score_seconds_sum"
    assert found[series(sum_name, MODEL.version)] == pytest.approx(2.0 + 1.1)
    assert found[series("fraud_batch_stage_duration_seconds_count", "commit")] == 1


def test_a_batch_that_only_replayed_is_no_commit() -> None:
    metrics = new_metrics()

    commit(metrics, result_of([], [], replayed=5))

    found = series_of(metrics)
    assert metrics.store.value(catalogue.EVENTS_REPLAYED) == 5
    assert metrics.store.value(catalogue.COMMITS) == 0
    assert metrics.store.value(catalogue.WORKER_LAST_SCORE) == 0
    assert found[series("fraud_batch_stage_duration_seconds_count", "commit")] == 0
    assert found[series("fraud_batch_stage_duration_seconds_count", "decode")] == 1


def test_records_without_a_timestamp_have_no_age_and_those_ahead_age_0() -> None:
    metrics = new_metrics()

    commit(metrics, result_of([-1, 200_000], []))

    found = series_of(metrics)
    assert found[series("fraud_queue_wait_seconds_count")] == 1
    assert found[series("fraud_queue_wait_seconds_sum")] == 0


def test_labels_are_closed_sets_and_coordinates_alone() -> None:
    metrics = new_metrics()
    metrics.rebalanced(Rebalance.ASSIGNED, [PLACE])
    measure(metrics, PLACE)
    for reason in Reason:
        commit(metrics, result_of([1], [reason]))
    before = set(series_of(metrics))
    for reason in Reason:
        commit(metrics, result_of([1] * 100, [reason] * 100))

    assert set(series_of(metrics)) == before
    with pytest.raises(KeyError):
        metrics.store.add(catalogue.DLQ_EVENTS, 1, "customer 596")


def test_promtool_has_nothing_to_say() -> None:
    metrics = drifting_metrics()
    metrics.rebalanced(Rebalance.ASSIGNED, [PLACE])
    measure(metrics, PLACE)
    commit(metrics, result_of([1], [Reason.EMPTY]))

    text = exposition(metrics)("")[0] + reference_exposition(metrics)("")[0]

    assert promtool("check", "metrics", text=text) == (0, "")


# Drift

#: Series of a worker on either path at most, with 30 features and 8 partitions.
SERIES_BUDGET = 900

NAMES = tuple(f"feature_{number}" for number in range(30))


def drifting_metrics() -> WorkerMetrics:
    model = replace(
        MODEL,
        reference=reference_of(NAMES),
        reference_sha256="c" * 64,
        kinds=dict.fromkeys(NAMES, "field"),
    )
    return WorkerMetrics(model, app_version="0.1.0", topics=["transactions"])


def reference_samples(metrics: WorkerMetrics) -> list[Sample]:
    text = reference_exposition(metrics)("")[0].decode()
    return [s for f in text_string_to_metric_families(text) for s in f.samples]


def test_every_bin_begins_at_0() -> None:
    found = {
        (sample.labels["feature"], sample.labels["bin"]): sample.value
        for sample in samples_of(drifting_metrics())
        if sample.name == "fraud_feature_values_total"
    }

    expected = {
        (name, slot)
        for name, baseline in reference_of(NAMES).baselines
        for slot in baseline.slots
    }
    assert found == dict.fromkeys(expected, 0)


def test_committed_bins_are_added_up() -> None:
    metrics = drifting_metrics()
    counter = BinCounter(reference_of(NAMES))
    X = np.full((2, len(NAMES)), 10.0)
    X[0, 0] = np.nan
    bins = counter.count(X, np.array([0.25, 0.75]), np.array([False, True]))
    result = result_of([99_000, 99_900], [])
    result = BatchResult(
        {PLACE: result.parts[PLACE]._replace(bins=bins)}, result.stage_seconds
    )

    commit(metrics, result)
    commit(metrics, result)

    found = {
        (sample.labels["feature"], sample.labels["bin"]): sample.value
        for sample in samples_of(metrics)
        if sample.name == "fraud_feature_values_total"
    }
    assert sum(found.values()) == 2 * 2 * (len(NAMES) + 1)
    assert found["feature_0", "missing"] == 2
    assert found["feature_1", "missing"] == 0
    sums = [
        metrics.store.value(catalogue.SCORE_PROBABILITY, MODEL.version, decision)
        for decision in DECISIONS
    ]
    assert sums == [1.5, 0.5]


def test_the_series_of_a_worker_stay_within_their_budget() -> None:
    metrics = drifting_metrics()
    places = [TopicPartition("transactions", number) for number in range(8)]
    metrics.rebalanced(Rebalance.ASSIGNED, places)
    for place in places:
        measure(metrics, place)

    assert len(list(samples_of(metrics))) <= SERIES_BUDGET
    assert len(reference_samples(metrics)) <= SERIES_BUDGET


def test_the_reference_is_told_on_a_path_of_its_own() -> None:
    metrics = drifting_metrics()

    found = reference_samples(metrics)

    assert {sample.name for sample in found} == {m.name for m in REFERENCE_CATALOGUE}
    names = {metric.name for metric in CATALOGUE}
    assert not {sample.name for sample in samples_of(metrics)} & {
        metric.name for metric in REFERENCE_CATALOGUE
    }
    assert not {sample.name for sample in found} & names
    for feature, baseline in reference_of(NAMES).baselines:
        ratios = {
            sample.labels["bin"]: sample.value
            for sample in found
            if sample.name == "fraud_feature_reference_ratio"
            and sample.labels["feature"] == feature
        }
        expected = zip(baseline.slots, baseline.ratios.tolist(), strict=True)
        assert ratios == dict(expected)


def test_a_bundle_without_reference_exposes_none() -> None:
    metrics = new_metrics()

    assert reference_samples(metrics) == []
    assert "fraud_feature_values_total" not in {s.name for s in samples_of(metrics)}
