"""The arrows between modules, and the sizes that keep the code readable."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.conftest import ROOT

MODULES = sorted(
    path
    for package in ("worker", "training", "demo", "deploy")
    for path in (ROOT / package).rglob("*.py")
)

MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 40
MAX_MEDIAN_LINES = 8

#: What features must do without: nothing that talks, stores, or knows a model.
IMPURE = {
    "confluent_kafka",
    "joblib",
    "msgspec",
    "orjson",
    "prometheus_client",
    "sklearn",
}


def test_the_arrows_of_the_design_hold() -> None:
    """Declared in pyproject.toml under tool.importlinter."""
    program = Path(sys.executable).with_name("lint-imports")

    done = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken." in done.stdout


def test_importing_the_features_loads_nothing_impure() -> None:
    loaded = _modules_loaded_by("worker.features")

    assert "worker.features" in loaded
    assert loaded & IMPURE == set()


def test_importing_the_bundle_does_not_load_what_could_run_it() -> None:
    loaded = _modules_loaded_by("worker.bundle")

    assert "worker.bundle" in loaded
    assert loaded & {"joblib", "sklearn"} == set()


def test_no_module_is_too_long() -> None:
    lengths = {_name(path): len(path.read_text().splitlines()) for path in MODULES}

    assert {n: count for n, count in lengths.items() if count > MAX_MODULE_LINES} == {}


def test_no_function_is_too_long() -> None:
    lengths = {
        f"{_name(path)}: {function.name}": count
        for path in MODULES
        for function, count in _functions(path)
    }

    assert {n: c for n, c in lengths.items() if c > MAX_FUNCTION_LINES} == {}


def test_most_functions_are_short() -> None:
    lengths = [lines for path in MODULES for _, lines in _functions(path)]

    assert median(lengths) <= MAX_MEDIAN_LINES


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _modules_loaded_by(name: str) -> set[str]:
    program = f"import {name}, sys; print(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def _functions(path: Path) -> Iterator[tuple[ast.FunctionDef, int]]:
    """Every function with its number of lines; the docstring does not count."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef):
            continue
        first, last = node.body[0], node.body[-1]
        if ast.get_docstring(node) is not None:
            start = first.end_lineno or first.lineno
        else:
            start = node.lineno
        yield node, (last.end_lineno or last.lineno) - start + 1
