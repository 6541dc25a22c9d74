"""Examples of what is counted: coordinates, for who asks, and few of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.pipeline_builders import DAY_MS, new_partition, new_pipeline, payment
from tests.reference_builders import reference_of
from tests.small_models import small_model
from tests.streams import FIRST_MS, HOUR_MS, PLACE, append
from worker.codec.forwarding import Origins
from worker.drift import BinCounter
from worker.metrics import ModelFacts, WorkerMetrics, exposition
from worker.metrics.exemplars import EVERY_SECONDS, SLOW_SECONDS
from worker.pipeline import BatchResult
from worker.pipeline.examples import examples_of
from worker.pipeline.folding import LiveEvents
from worker.pipeline.sources import Earlier
from worker.records import EventBatch, RecordBatch, TopicPartition
from worker.scoring import LoadedModel

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
NOW = (FIRST_MS + 2 * DAY_MS) / 1000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    loaded = small_model(tmp_path_factory.mktemp("models"))
    return replace(loaded, reference=reference_of(loaded.spec.feature_names))


def batch_of(
    model: LoadedModel, times_ms: Sequence[int], *, first: int = 7
) -> BatchResult:
    """A payment recorded at each time, and a record that is none behind them.

    The last payment says of itself that it is three days older than the first.
    """
    records = RecordBatch()
    for offset, time_ms in enumerate(times_ms, first):
        is_last = offset == first + len(times_ms) - 1
        event_ms = FIRST_MS - 3 * DAY_MS if is_last else FIRST_MS
        value = payment(transaction_id=str(offset), event_time=event_ms)
        append(records, b"596", value, offset=offset, timestamp_ms=time_ms)
    end = first + len(times_ms)
    append(records, b"596", b"{", offset=end, timestamp_ms=times_ms[-1])
    partition = new_partition(model)
    partition.next_offset = partition.live_from = first
    return new_pipeline(model).run(records, {PLACE: partition})


def new_metrics(model: LoadedModel) -> WorkerMetrics:
    facts = ModelFacts(model.version, "", "", 0.0, "", model.reference)
    return WorkerMetrics(facts, app_version="0", topics=[PLACE.topic])


def commit(metrics: WorkerMetrics, batch: BatchResult, now: float = NOW) -> None:
    metrics.committed(batch, polled_at=now, committed_at=now, commit_seconds=0.01)


def with_exemplars(metrics: WorkerMetrics) -> list[Sample]:
    text, _ = exposition(metrics)(OPENMETRICS)
    parse: Any = text_string_to_metric_families
    families = list(parse(text.decode()))
    return [s for family in families for s in family.samples if s.exemplar]


def exemplars_of(metrics: WorkerMetrics, name: str) -> list[dict[str, str]]:
    samples = with_exemplars(metrics)
    return [dict(s.exemplar.labels) for s in samples if s.exemplar and s.name == name]


def at(offset: int) -> dict[str, str]:
    return {"partition": "0", "offset": str(offset)}


def test_examples_say_where_a_record_lies(model: LoadedModel) -> None:
    metrics = new_metrics(model)
    oldest_ms = FIRST_MS
    times = [oldest_ms + HOUR_MS, oldest_ms, oldest_ms + HOUR_MS]
    commit(metrics, batch_of(model, times))

    assert exemplars_of(metrics, "fraud_events_late_total") == [at(9)]
    dead = {"topic": PLACE.topic, **at(10)}
    assert exemplars_of(metrics, "fraud_dlq_events_total") == [dead]
    (slow,) = (
        s for s in with_exemplars(metrics) if s.name.startswith("fraud_event_to_score")
    )
    assert slow.exemplar is not None
    assert slow.exemplar.labels == at(8)
    assert slow.exemplar.value == NOW - oldest_ms / 1000
    assert slow.labels["le"] == "+Inf"


def test_what_is_quick_and_in_time_is_no_example(model: LoadedModel) -> None:
    """But the dead letter is."""
    metrics = new_metrics(model)
    batch = batch_of(model, [FIRST_MS, FIRST_MS])
    in_time = batch.parts[PLACE]._replace(late=0)
    commit(
        metrics,
        BatchResult({PLACE: in_time}, batch.stage_seconds),
        FIRST_MS / 1000 + SLOW_SECONDS - 0.01,
    )

    names = {sample.name for sample in with_exemplars(metrics)}
    assert names <= {"fraud_dlq_events_total", "fraud_feature_values_total"}


def test_of_missing_and_unknown_values_the_rarest_is_chosen() -> None:
    """Every tenth value was missing in training, and none was beyond all others."""
    reference = reference_of(["amount", "age"])
    counter = BinCounter(reference)
    X = np.full((4, 2), 10.0)
    no_scores = np.zeros(4), np.zeros(4, np.bool_)
    found = [counter.count(X, *no_scores).example()]
    X[2, 0] = np.nan
    found.append(counter.count(X, *no_scores).example())
    X[3, 1] = 99.0
    found.append(counter.count(X, *no_scores).example())
    X[1, 1] = -99.0
    found.append(counter.count(X, *no_scores).example())

    named = [each and (counter.labels[each[0]], each[1]) for each in found]
    assert named == [
        None,
        (("amount", "missing"), 2),
        (("age", "unknown"), 3),
        (("age", "unknown"), 1),
    ]


def test_an_example_of_a_value_stands_at_its_bin(model: LoadedModel) -> None:
    metrics = new_metrics(model)
    batch = batch_of(model, [FIRST_MS, FIRST_MS])
    part = batch.parts[PLACE]
    assert part.bins is not None
    commit(metrics, batch)

    absent = part.examples().absent
    assert absent is not None
    assert model.reference is not None
    feature, slot = BinCounter(model.reference).labels[absent[1]]
    (sample,) = (
        s for s in with_exemplars(metrics) if s.name == "fraud_feature_values_total"
    )
    assert (sample.labels["feature"], sample.labels["bin"]) == (feature, slot)
    assert sample.exemplar is not None
    assert sample.exemplar.labels == at(absent[0].offset)


def test_of_each_family_there_is_one_a_second(model: LoadedModel) -> None:
    metrics = new_metrics(model)
    for number, now in enumerate((NOW, NOW + 0.1, NOW + EVERY_SECONDS)):
        batch = batch_of(model, [FIRST_MS, FIRST_MS], first=10 * (number + 1))
        commit(metrics, batch, now)
        name = "fraud_events_late_total"
        assert exemplars_of(metrics, name) == [at(31 if number == 2 else 11)]


def test_the_plain_format_has_none(model: LoadedModel) -> None:
    metrics = new_metrics(model)
    before = exposition(metrics)("")[0].decode()
    commit(metrics, batch_of(model, [FIRST_MS, FIRST_MS]))
    after, content_type = exposition(metrics)("text/plain")

    assert len(with_exemplars(metrics)) >= 3
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert " # {" not in after.decode()
    assert before.count("\n") == after.decode().count("\n")


def test_a_topic_s_long_name_is_left_out(model: LoadedModel) -> None:
    """An exemplar may have 128 characters; a topic's name up to 249."""
    metrics = new_metrics(model)
    batch = batch_of(model, [FIRST_MS, FIRST_MS])
    place = TopicPartition("t" * 120, 0)
    part = batch.parts[PLACE]._replace()
    metrics._create([place.topic])
    commit(metrics, BatchResult({place: part}, batch.stage_seconds))

    assert exemplars_of(metrics, "fraud_dlq_events_total") == [at(9)]


def test_behind_other_stages_an_example_is_the_payment_itself() -> None:
    """Not the record by which it was handed on; `replay` wants the payment."""
    events = EventBatch(["1", "2", "3"], np.zeros(3, np.int64), {})
    origins = Origins(np.array([4, 5, 6]), np.array([40, 50, 60]), [b"a", b"b", b"c"])
    no, late = np.zeros(3, np.bool_), np.array([False, False, True])
    earlier = Earlier(origins, np.zeros(3, np.uint8), np.zeros((3, 0)))
    rows, X = np.arange(3), np.zeros((3, 1))
    live = LiveEvents(events, rows, X, late, no, no, [0, 3], earlier)

    found = examples_of(
        RecordBatch(), live, slice(1, 3), np.array([FIRST_MS, FIRST_MS + 1]), None
    )

    assert found == ((6, 60), None, ((5, 50), FIRST_MS))
