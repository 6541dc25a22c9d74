"""A worker with a public key opens only what was signed with its counterpart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.bundle_builders import VERSION, make_keys, publish_bundle
from worker.bundle import set_current
from worker.commands.clients import current_spec, open_bundle
from worker.config import Settings
from worker.errors import BundleRejected


def test_an_unsigned_bundle_is_refused_where_a_key_is_configured(
    tmp_path: Path,
) -> None:
    models = tmp_path / "models"
    publish_bundle(models)
    set_current(models, VERSION)
    _, public = make_keys(tmp_path / "own")
    settings = Settings(models_dir=models)

    assert current_spec(settings).feature_names
    with pytest.raises(BundleRejected, match=r"manifest\.sig"):
        open_bundle(replace(settings, public_key=public))


def test_a_signed_bundle_is_opened_with_its_own_key_only(tmp_path: Path) -> None:
    models = tmp_path / "models"
    private, public = make_keys(tmp_path / "own")
    _, other = make_keys(tmp_path / "other")
    publish_bundle(models, private_key=private)
    set_current(models, VERSION)

    assert open_bundle(Settings(models_dir=models, public_key=public)).version
    with pytest.raises(BundleRejected, match="does not fit"):
        open_bundle(Settings(models_dir=models, public_key=other))
