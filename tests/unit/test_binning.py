"""What was scored is counted by the bins of the reference, and nothing else."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from tests.bundle_builders import VERSION, publish_bundle
from tests.pipeline_builders import new_partition, new_pipeline, payment
from tests.reference_builders import reference_of
from tests.small_models import small_model
from tests.streams import FIRST_MS, HOUR_MS, PLACE, append
from tests.transform_builders import everything
from worker.bundle import VerifiedBundle, read_bundle
from worker.commands import run
from worker.drift import SCORE, BinCounter, BinCounts
from worker.errors import BundleRejected
from worker.features import declarations
from worker.records import RecordBatch, TopicPartition
from worker.scoring import LoadedModel, load_model

OTHER = TopicPartition(PLACE.topic, 1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    loaded = small_model(tmp_path_factory.mktemp("models"))
    return replace(loaded, reference=reference_of(loaded.spec.feature_names))


def records_of(
    hours: range, place: TopicPartition = PLACE, records: RecordBatch | None = None
) -> RecordBatch:
    """A payment of 10 each hour, and a record that is none before the last.

    They are added to other records where there are some.
    """
    records = records or RecordBatch()
    for offset, hour in enumerate(hours):
        time_ms = FIRST_MS + hour * HOUR_MS
        value = payment(transaction_id=str(hour), event_time=time_ms, amount=10)
        if hour == hours[-2]:
            value = b"{"
        append(records, b"596", value, offset=offset, timestamp_ms=time_ms, place=place)
    return records


def by_label(model: LoadedModel, bins: BinCounts | None) -> dict[tuple[str, str], int]:
    assert bins is not None
    assert model.reference is not None
    labels = BinCounter(model.reference).labels
    return dict(zip(labels, bins.cells.tolist(), strict=True))


def test_only_what_is_scored_is_counted(model: LoadedModel) -> None:
    result = new_pipeline(model).run(
        records_of(range(6)), {PLACE: new_partition(model, live_from=2)}
    )

    found = by_label(model, result.parts[PLACE].bins)
    per_feature = {
        name: sum(count for (feature, _), count in found.items() if feature == name)
        for name in (*model.spec.feature_names, SCORE)
    }
    assert set(per_feature.values()) == {3}
    assert sum(found["amount", f"{number:02}"] for number in range(10)) == 3


def test_each_partition_has_its_own_counts(model: LoadedModel) -> None:
    records = records_of(range(6, 9), OTHER, records_of(range(6)))
    partitions = {PLACE: new_partition(model), OTHER: new_partition(model, OTHER)}

    result = new_pipeline(model).run(records, partitions)

    sizes = {}
    for place, part in result.parts.items():
        found = by_label(model, part.bins)
        sizes[place] = sum(found[SCORE, slot] for slot in ("00", "01", "02"))
    assert sizes == {PLACE: 5, OTHER: 2}


def test_the_sums_are_those_of_the_published_scores(model: LoadedModel) -> None:
    result = new_pipeline(model).run(
        records_of(range(6)), {PLACE: new_partition(model)}
    )

    values = [o.value for o in result.outputs if o.topic == "scores"]
    scores = [json.loads(value) for value in values if value is not None]
    bins = result.parts[PLACE].bins
    assert bins is not None
    flagged = np.array([score["flagged"] for score in scores])
    published = np.array([score["score"] for score in scores])
    assert bins.flagged_score_sum == pytest.approx(published[flagged].sum())
    assert bins.passed_score_sum == pytest.approx(published[~flagged].sum())


def test_without_a_reference_nothing_is_counted(model: LoadedModel) -> None:
    result = new_pipeline(replace(model, reference=None)).run(
        records_of(range(3)), {PLACE: new_partition(model)}
    )

    assert result.parts[PLACE].bins is None


# In the bundle


def test_a_reference_is_part_of_the_bundle(tmp_path: Path) -> None:
    reference = reference_of(everything().feature_names)
    publish_bundle(tmp_path, reference=reference)

    bundle = read_bundle(tmp_path, VERSION)

    assert bundle.files["reference.json"] == reference.to_json()
    assert load_model(bundle).reference == reference


def test_a_bundle_with_a_reference_of_other_features_is_rejected(
    tmp_path: Path,
) -> None:
    publish_bundle(tmp_path, reference=reference_of(["amount"]))

    with pytest.raises(BundleRejected, match=r"reference\.json is not usable"):
        load_model(read_bundle(tmp_path, VERSION))


@pytest.fixture
def without(tmp_path: Path) -> VerifiedBundle:
    """A bundle from before there were references."""
    publish_bundle(tmp_path)
    return read_bundle(tmp_path, VERSION)


def test_a_worker_says_once_that_there_is_no_reference(
    without: VerifiedBundle, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        facts = run._facts_of(without, load_model(without))

    assert [record.message for record in caplog.records] == ["no_reference"]
    assert (facts.reference, facts.reference_sha256) == (None, "")


def test_the_metrics_name_the_reference_by_its_digest(tmp_path: Path) -> None:
    publish_bundle(tmp_path, reference=reference_of(everything().feature_names))
    bundle = read_bundle(tmp_path, VERSION)

    facts = run._facts_of(bundle, load_model(bundle))

    expected = bundle.manifest.files["reference.json"].sha256
    assert facts.reference_sha256 == expected
    assert facts.kinds.keys() == set(everything().feature_names)
    assert set(facts.kinds.values()) == {"calendar", "derived", "field", "window"}


def test_every_kind_of_feature_has_a_word() -> None:
    assert declarations._KINDS.keys() == set(get_args(declarations.Feature))
    assert len(set(declarations._KINDS.values())) == len(declarations._KINDS)
