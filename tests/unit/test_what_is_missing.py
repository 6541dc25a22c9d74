"""A test whose needs are missing is skipped on a laptop, and fails in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

NEEDY_TESTS = """
def test_with_a_broker(kafka): ...
def test_with_a_topic(fresh_topic): ...
def test_with_the_handbook(handbook): ...
"""


@pytest.fixture
def bare_machine(tmp_path: Path) -> dict[str, str]:
    """Return an environment without Java, Maven, data and CI."""
    unwanted = {"CI", "JAVA_HOME", "PYTEST_ADDOPTS"}
    kept = {key: value for key, value in os.environ.items() if key not in unwanted}
    missing = str(tmp_path / "missing")
    return kept | {
        "PATH": missing,
        "HANDBOOK": missing,
        "FRAUD_KAFKA_JARS": missing,
        "PYTHONPATH": str(ROOT),
    }


def test_on_a_laptop_it_is_skipped_with_what_to_do(
    bare_machine: dict[str, str], tmp_path: Path
) -> None:
    done = _run(tmp_path, bare_machine)

    assert done.returncode == 0
    assert "3 skipped" in done.stdout
    assert "Java is missing; install" in done.stdout
    assert "is missing; let HANDBOOK name the Parquet file" in done.stdout


def test_in_ci_it_fails(bare_machine: dict[str, str], tmp_path: Path) -> None:
    done = _run(tmp_path, bare_machine | {"CI": "true"})

    assert done.returncode == 1
    assert "3 errors" in done.stdout
    assert "Java is missing; install" in done.stdout
    assert "is missing; let HANDBOOK name the Parquet file" in done.stdout


def test_the_needs_of_a_test_are_its_markers(
    bare_machine: dict[str, str], tmp_path: Path
) -> None:
    assert (
        "3 deselected"
        in _run(tmp_path, bare_machine, "-m", "not kafka and not data").stdout
    )
    assert (
        "2 skipped, 1 deselected" in _run(tmp_path, bare_machine, "-m", "kafka").stdout
    )


def _run(
    directory: Path, environment: dict[str, str], *options: str
) -> subprocess.CompletedProcess[str]:
    (directory / "test_needy.py").write_text(NEEDY_TESTS)
    argv = [sys.executable, "-m", "pytest", "-ra", "-p", "tests.conftest", *options]
    return subprocess.run(
        [*argv, "-p", "no:cacheprovider", "test_needy.py"],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
