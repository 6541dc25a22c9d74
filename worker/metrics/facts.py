"""What the metrics are told: facts about the model, and about each batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.drift import BinCounts, Reference
from worker.records import Reason, TopicPartition


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The model in use; `trained_until` in seconds since 1970.

    `reference` and its digest are missing in bundles from before there was one.
    `kinds` says what each feature is made of, `selftest_error` by how much a golden
    event's score differed at most when the model was loaded.
    """

    version: str
    model_sha256: str
    transform_sha256: str
    trained_until: float
    reference_sha256: str = ""
    reference: Reference | None = None
    kinds: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    selftest_error: float = 0.0


class Rejected(Protocol):
    """A record that became a dead letter."""

    @property
    def reason(self) -> Reason:
        """Why."""
        ...


class Part(Protocol):
    """The part of a batch that came from one partition: counts and timestamps."""

    @property
    def replayed(self) -> int:
        """How many records were folded in silence."""
        ...

    @property
    def rejected(self) -> Sequence[Rejected]:
        """Those that became dead letters."""
        ...

    @property
    def flagged(self) -> int:
        """How many scores are so."""
        ...

    @property
    def control_group(self) -> int:
        """How many scores are let through that reach the threshold."""
        ...

    @property
    def late(self) -> int:
        """How many scores are so."""
        ...

    @property
    def duplicate(self) -> int:
        """How many scores are so."""
        ...

    @property
    def incomplete(self) -> int:
        """How many scores are so."""
        ...

    @property
    def timestamps_ms(self) -> NDArray[np.int64]:
        """(n,) of the records that are answered; -1 where there is none."""
        ...

    @property
    def scored_timestamps_ms(self) -> NDArray[np.int64]:
        """(n,) of those that are scored."""
        ...

    @property
    def bins(self) -> BinCounts | None:
        """How features and scores lie; None without a reference."""
        ...


class Batch(Protocol):
    """All that follows from a batch of records."""

    @property
    def parts(self) -> Mapping[TopicPartition, Part]:
        """By the partition that they came from."""
        ...

    @property
    def stage_seconds(self) -> Mapping[str, float]:
        """Wall time of each step but the commit."""
        ...
