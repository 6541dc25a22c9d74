"""Bundles are made whole, put in use when they load, and left when they don't."""

from __future__ import annotations

import json
from pathlib import Path

import joblib
import numpy as np
import pytest

from tests.bundle_builders import (
    FIRST_MS,
    HISTORY_SIZE,
    VERSION,
    boosted_trees,
    history,
    make_keys,
    publish_bundle,
    training_data,
)
from tests.transform_builders import batch_of, everything
from training.export import EXPORT_FORMATS, ExportFormat, export_model
from training.publish import publish, rollback
from worker.bundle import DataWindow, current_version, read_bundle, versions
from worker.errors import BundleRejected, InvalidConfig
from worker.scoring import load_model

NEXT = "2018-08-07.1"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two versions; the first is in use and the parent of the second."""
    models = tmp_path / "models"
    publish_bundle(models)
    publish(models, VERSION)
    publish_bundle(models, version=NEXT)
    return models


def damage(models: Path, version: str) -> None:
    (models / version / "model.joblib").write_bytes(b"damaged")


# Making


def test_a_bundle_says_what_it_was_made_of(models: Path) -> None:
    manifest = read_bundle(models, NEXT).manifest

    assert manifest.spec == "everything"
    assert manifest.model == "scikit-learn HistGradientBoostingClassifier"
    assert manifest.feature_names == everything().feature_names
    assert manifest.state_fingerprint == everything().state_fingerprint
    assert manifest.feature_fingerprint == everything().feature_fingerprint
    assert manifest.threshold == 0.5
    assert manifest.metrics == {"average_precision": 0.5}
    expected = DataWindow(FIRST_MS, FIRST_MS + 3_600_000, HISTORY_SIZE, 120)
    assert manifest.data_window == expected


def test_the_parent_is_the_version_in_use(models: Path) -> None:
    assert read_bundle(models, VERSION).manifest.parent is None
    assert read_bundle(models, NEXT).manifest.parent == VERSION


def test_making_a_bundle_does_not_put_it_in_use(models: Path) -> None:
    assert current_version(models) == VERSION


def test_the_same_model_makes_the_same_bytes(tmp_path: Path) -> None:
    publish_bundle(tmp_path / "one")
    publish_bundle(tmp_path / "two")

    one, two = (read_bundle(tmp_path / name, VERSION) for name in ("one", "two"))

    assert one.digest == two.digest


def test_what_could_not_be_measured_is_left_out(tmp_path: Path) -> None:
    publish_bundle(tmp_path, metrics={"roc_auc": float("nan"), "precision": 1})

    assert read_bundle(tmp_path, VERSION).manifest.metrics == {"precision": 1.0}


def test_a_bundle_needs_history(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="no history"):
        publish_bundle(tmp_path, records=batch_of([]))

    assert versions(tmp_path) == []


def test_a_threshold_that_no_score_has_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(BundleRejected, match="threshold"):
        publish_bundle(tmp_path, threshold=1.5)

    assert list(tmp_path.iterdir()) == []


def test_a_version_is_never_made_twice(models: Path) -> None:
    with pytest.raises(InvalidConfig, match="choose another version"):
        publish_bundle(models)


def test_a_current_that_names_nothing_does_not_lose_a_new_model(tmp_path: Path) -> None:
    (tmp_path / "CURRENT").write_text("???\n")

    publish_bundle(tmp_path)

    assert read_bundle(tmp_path, VERSION).manifest.parent is None


def test_the_shortest_history_is_enough(tmp_path: Path) -> None:
    publish_bundle(tmp_path, records=history().take(slice(0, 1)))

    loaded = load_model(read_bundle(tmp_path, VERSION))

    assert loaded.version == VERSION


# Golden events


def test_golden_events_are_a_few_of_the_busy_and_of_the_rare(models: Path) -> None:
    golden = json.loads(read_bundle(models, VERSION).files["golden.json"])
    keys = [record["key"] for record in golden["records"]]
    counts = sorted(keys.count(key) for key in set(keys))

    assert len(keys) == 202
    assert 5 <= len(counts) <= 8
    assert counts[0] <= 3
    assert counts[-1] >= 80


def test_golden_scores_differ_enough_to_tell_models_apart(models: Path) -> None:
    golden = json.loads(read_bundle(models, VERSION).files["golden.json"])

    assert len(set(golden["scores"])) > 30


def test_golden_events_end_with_a_late_one_and_a_repeat(models: Path) -> None:
    golden = json.loads(read_bundle(models, VERSION).files["golden.json"])
    first, last, *_, late, repeat = golden["records"]
    count = everything().feature_names.index("count_60s")

    assert late == first
    assert repeat == golden["records"][-3]
    assert last != first
    # Neither is counted a second time.
    assert golden["features"][-1][count] == golden["features"][-3][count]


def test_no_customer_and_no_transaction_can_be_told_from_a_bundle(models: Path) -> None:
    raw = b"".join(read_bundle(models, VERSION).files.values())

    assert b"customer-1" not in raw
    assert b"id-1" not in raw
    assert b"shop-1" in raw


# In use


def test_publishing_puts_a_version_in_use(models: Path) -> None:
    loaded = publish(models, NEXT)

    assert loaded.version == NEXT
    assert (models / "CURRENT").read_text() == f"{NEXT}\n"


def test_a_damaged_version_is_not_put_in_use(models: Path) -> None:
    damage(models, NEXT)

    with pytest.raises(BundleRejected, match=r"model\.joblib is not the file"):
        publish(models, NEXT)

    assert current_version(models) == VERSION


def test_an_unsigned_version_is_not_put_in_use_where_a_key_is_given(
    models: Path, tmp_path: Path
) -> None:
    _, public = make_keys(tmp_path / "ours")

    with pytest.raises(BundleRejected, match=r"manifest\.sig is missing"):
        publish(models, NEXT, public_key=public)

    assert current_version(models) == VERSION


def test_rolling_back_goes_to_the_parent(models: Path) -> None:
    publish(models, NEXT)

    assert rollback(models).version == VERSION
    assert current_version(models) == VERSION


def test_rolling_back_goes_to_any_version_that_is_named(models: Path) -> None:
    assert rollback(models, NEXT).version == NEXT
    assert current_version(models) == NEXT


def test_rolling_back_from_the_first_version_names_the_others(models: Path) -> None:
    with pytest.raises(InvalidConfig, match=rf"has no parent: .* \({NEXT}\)"):
        rollback(models)

    assert current_version(models) == VERSION


def test_rolling_back_to_a_damaged_parent_changes_nothing(models: Path) -> None:
    publish(models, NEXT)
    damage(models, VERSION)

    with pytest.raises(BundleRejected):
        rollback(models)

    assert current_version(models) == NEXT


def test_rolling_back_from_a_damaged_version_needs_the_name_of_another(
    models: Path,
) -> None:
    publish(models, NEXT)
    damage(models, NEXT)

    with pytest.raises(BundleRejected):
        rollback(models)

    assert rollback(models, VERSION).version == VERSION


# Export


@pytest.mark.parametrize("file_format", EXPORT_FORMATS)
def test_an_exported_model_predicts_without_this_product(
    models: Path, tmp_path: Path, file_format: ExportFormat
) -> None:
    X, _ = training_data()
    out = tmp_path / "model"

    export_model(models, out, file_format=file_format)

    # joblib reads plain pickles as well.
    np.testing.assert_array_equal(
        boosted_trees().predict_proba(X), joblib.load(out).predict_proba(X)
    )
    assert sorted(tmp_path.iterdir()) == [out, models]


def test_the_compressed_export_is_gzip_and_smaller(
    models: Path, tmp_path: Path
) -> None:
    plain = export_model(models, tmp_path / "plain", file_format="joblib")
    gzip = export_model(models, tmp_path / "gzip", file_format="joblib-gzip")

    assert gzip.read_bytes().startswith(b"\x1f\x8b")
    assert gzip.stat().st_size < plain.stat().st_size


def test_a_damaged_model_is_not_exported(models: Path, tmp_path: Path) -> None:
    damage(models, VERSION)

    with pytest.raises(BundleRejected):
        export_model(models, tmp_path / "model", file_format="pickle")

    assert not (tmp_path / "model").exists()


def test_an_export_that_cannot_be_written_says_where(
    models: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidConfig, match="cannot be written"):
        export_model(models, tmp_path / "no" / "model", file_format="pickle")


# The card


def test_the_card_tells_what_the_bundle_is(models: Path) -> None:
    card = read_bundle(models, NEXT).files["card.md"].decode()

    assert card.startswith(f"# everything {NEXT}\n")
    assert "1,200 transactions from 2018-04-01T00:00:00Z" in card
    assert "120 (10.000%) were known to be frauds" in card
    assert "| average_precision | 0.5 |" in card
    assert "is at least 0.5." in card
    assert "Its memory reaches" in card


def test_the_card_has_a_line_for_each_feature(models: Path) -> None:
    card = read_bundle(models, NEXT).files["card.md"].decode()
    lines = dict(
        line.removeprefix("- `").split("`: ", 1)
        for line in card.splitlines()
        if line.startswith("- `")
    )

    assert tuple(lines) == everything().feature_names
    for name, sentence in {
        "amount_tail": (
            "amount, limited to 10 to 50, rounded to multiples of 5, "
            "as the logarithm of 1 + x"
        ),
        "hour": "hour of the day (Europe/Brussels)",
        "count_60s": ("number of transactions of this customer in 1 minute"),
        "amount_mean_before": (
            "mean amount of this customer in 30 seconds before this one"
        ),
        "amount_min_delayed": (
            "least amount of this customer in 30 seconds that ended 15 seconds ago"
        ),
        "ratio": "amount divided by the mean amount of this customer in 1 minute",
        "excess": (
            "amount minus the mean amount of this customer in 30 seconds before this "
            "one"
        ),
        "large_count_10s": (
            "number of transactions of this customer in 10 seconds, where amount "
            "divided by the mean amount of this customer in 1 minute is above 1.2"
        ),
    }.items():
        assert lines[name] == sentence


def test_a_card_without_measures_says_so(tmp_path: Path) -> None:
    publish_bundle(tmp_path, metrics={})

    assert "Not measured." in read_bundle(tmp_path, VERSION).files["card.md"].decode()
