"""The bundle that ships can be used as it is, and is what `make model` makes."""

from __future__ import annotations

import re

from tests.conftest import ROOT
from worker.bundle import current_version, read_bundle
from worker.scoring import load_model

MODELS = ROOT / "models"


def test_the_shipped_bundle_reproduces_its_golden_events() -> None:
    model = load_model(read_bundle(MODELS))

    assert 0 < model.threshold < 1


def test_the_shipped_bundle_says_what_live_values_are_compared_with() -> None:
    model = load_model(read_bundle(MODELS))

    assert model.reference is not None
    assert tuple(model.reference.features) == model.spec.feature_names
    assert 0 < model.reference.flag_ratio < 0.05


def test_everything_that_ships_in_models_is_small() -> None:
    sizes = [path.stat().st_size for path in MODELS.rglob("*") if path.is_file()]

    assert 0 < sum(sizes) <= 2_000_000


def test_the_shipped_bundle_was_made_with_the_shipped_spec() -> None:
    """Who changes the spec makes the model again."""
    spec = ROOT / "training" / "specs" / "handbook.toml"

    assert read_bundle(MODELS).files["transform.toml"] == spec.read_bytes()


def test_make_model_makes_the_version_in_use() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (version,) = re.findall(r"^MODEL := (.+)$", makefile, re.MULTILINE)

    assert current_version(MODELS) == version
