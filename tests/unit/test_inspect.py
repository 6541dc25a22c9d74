"""inspect shows a bundle without executing anything in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commanding import run_command
from tests.small_models import small_model
from worker.bundle import set_current
from worker.commands import inspect
from worker.config import Settings
from worker.errors import BundleRejected
from worker.scoring import LoadedModel


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def model(models_dir: Path) -> LoadedModel:
    small_model(models_dir, "2018-08-31.1", seed=2)
    return small_model(models_dir)


def test_the_bundle_in_use_is_shown_with_all_that_identifies_it(
    models_dir: Path, model: LoadedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_command(inspect, Settings(models_dir=models_dir), "--json")

    facts = json.loads(capsys.readouterr().out)
    assert code == 0
    assert facts["version"] == model.version
    assert facts["features"] == list(model.spec.feature_names)
    assert facts["state_fingerprint"] == model.spec.state_fingerprint
    assert facts["feature_fingerprint"] == model.spec.feature_fingerprint
    assert facts["threshold"] == 0.5
    assert (facts["horizon_days"], facts["retention_days"]) == (30.0, 31.0)
    assert facts["metrics"] == {"average_precision": 0.25}
    assert set(facts["files"]) == {
        "card.md",
        "golden.json",
        "model.joblib",
        "transform.toml",
    }


def test_the_text_for_people_says_the_same(
    models_dir: Path, model: LoadedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command(inspect, Settings(models_dir=models_dir))

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"version: {model.version}"
    assert "  customer_amount_mean_30d" in lines
    assert f"feature fingerprint: {model.spec.feature_fingerprint}" in lines


def test_another_version_can_be_asked_for(
    models_dir: Path, model: LoadedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command(inspect, Settings(models_dir=models_dir), "2018-08-31.1")

    assert capsys.readouterr().out.startswith("version: 2018-08-31.1\n")


def test_the_list_marks_what_is_in_use(
    models_dir: Path, model: LoadedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command(inspect, Settings(models_dir=models_dir), "--list")

    assert capsys.readouterr().out == "2018-07-31.1  in use\n2018-08-31.1\n"


def test_the_list_needs_no_version_in_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_model(tmp_path)
    (tmp_path / "CURRENT").unlink()

    run_command(inspect, Settings(models_dir=tmp_path), "--list")

    assert capsys.readouterr().out == "2018-07-31.1\n"


def test_a_bundle_that_was_altered_is_not_shown(tmp_path: Path) -> None:
    model = small_model(tmp_path)
    card = tmp_path / model.version / "card.md"
    card.write_bytes(b"# Better\n")
    set_current(tmp_path, model.version)

    with pytest.raises(BundleRejected, match="card"):
        run_command(inspect, Settings(models_dir=tmp_path))


def test_nothing_that_could_load_a_model_is_imported() -> None:
    """The parent has sklearn loaded; a fresh interpreter has not."""
    program = "import worker.commands.inspect, sys; print('sklearn' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "False\n"
