"""Streams for the end-to-end tests: topics, a small bundle, and what runs on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.broker import KafkaBroker
from tests.live import MakeStream, Stream
from tests.small_models import small_model


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one small bundle in use."""
    directory = tmp_path_factory.mktemp("models")
    small_model(directory)
    return directory


@pytest.fixture
def make_stream(
    kafka: KafkaBroker,
    models: Path,
    tmp_path: Path,
    fresh_name: Callable[[str], str],
) -> Iterator[MakeStream]:
    """Return a function that makes streams; nothing of them is left at the end."""
    made: list[Stream] = []

    def make(*, partitions: int = 4, **settings: str) -> Stream:
        stream = Stream(
            kafka,
            fresh_name("e2e"),
            models,
            tmp_path,
            partitions=partitions,
            settings={"FRAUD_START": "earliest", **settings},
        )
        stream.create_topics()
        made.append(stream)
        return stream

    with ExitStack() as closing:
        yield make
        for stream in made:
            closing.callback(stream.close)
