"""What many tests share: one broker for the whole run, fresh names, larger data.

A test that asks for `kafka` (or `fresh_topic`) carries the marker of that name by
itself, one that asks for `handbook` the marker `data`. What is missing on a laptop
skips them with a sentence; where `CI` is set, it fails them.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import settings

from demo.broker import KafkaBroker, kafka_available

ROOT = Path(__file__).resolve().parent.parent

_HANDBOOK = ROOT.parent / "shared" / "data" / "handbook_transactions.parquet"

# The first call of a compiled kernel takes seconds, so no example has a deadline.
settings.register_profile("laptop", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "laptop")


def _kernels_of_this_source() -> str:
    """Return where compiled kernels are kept: elsewhere for every state of the source.

    numba's cache looks at the file of a kernel only, so one that calls a changed
    kernel of another file would be taken from the cache as it was. And two processes
    that compile a kernel at once, for other types each, would take the one's for the
    other's: those that share the tests have directories of their own.
    """
    digest = hashlib.sha256()
    for package in ("features", "codec", "scoring"):
        for path in sorted((ROOT / "worker" / package).rglob("*.py")):
            digest.update(path.read_bytes())
    process = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    return str(ROOT / "build" / "kernels" / digest.hexdigest()[:16] / process)


os.environ["NUMBA_CACHE_DIR"] = _kernels_of_this_source()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test by the fixtures that it needs."""
    for item in items:
        needed = getattr(item, "fixturenames", ())
        if "kafka" in needed or "needs_kafka" in needed:
            item.add_marker(pytest.mark.kafka)
        if "handbook" in needed:
            item.add_marker(pytest.mark.data)


def pytest_report_header() -> list[str]:
    """Say at the top what will be skipped."""
    handbook = _handbook_path()
    found = "found" if handbook.exists() else "missing"
    return [
        f"kafka: {kafka_available() or 'available'}",
        f"handbook: {found} ({handbook})",
    ]


@pytest.fixture(scope="session")
def needs_kafka() -> None:
    """Let a test that starts brokers of its own run only where they can start."""
    if reason := kafka_available():
        _unavailable(reason)


@pytest.fixture(scope="session")
def kafka(
    needs_kafka: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaBroker]:
    """One broker for the whole run; who kills or pauses one starts its own."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


_numbers = itertools.count(1)


@pytest.fixture
def fresh_name() -> Callable[[str], str]:
    """Return a function that makes names of topics and groups nobody else uses."""
    return lambda stem: f"{stem}-{next(_numbers)}"


class FreshTopic(Protocol):
    """Creates a topic on the broker of this run and returns its name."""

    def __call__(
        self, stem: str, *, partitions: int = 4, config: Mapping[str, str] | None = None
    ) -> str: ...


@pytest.fixture
def fresh_topic(kafka: KafkaBroker, fresh_name: Callable[[str], str]) -> FreshTopic:
    """Return a function that creates topics of its own for a test."""

    def create(
        stem: str, *, partitions: int = 4, config: Mapping[str, str] | None = None
    ) -> str:
        name = fresh_name(stem)
        kafka.create_topics({name: partitions}, config=config or {})
        return name

    return create


@pytest.fixture(scope="session")
def handbook() -> Path:
    """Return the Handbook's 1,754,155 transactions as a Parquet file."""
    path = _handbook_path()
    if not path.exists():
        _unavailable(f"{path} is missing; let HANDBOOK name the Parquet file")
    return path


def _handbook_path() -> Path:
    return Path(os.environ.get("HANDBOOK") or _HANDBOOK)


def _unavailable(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
