"""What the metrics are told: facts about the model, and about each batch."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
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


class AbortReason(enum.StrEnum):
    """What is known of a commit that did not return well."""

    ABORTED = "aborted"
    UNKNOWN = "unknown"


class Rebalance(enum.StrEnum):
    """How the partitions in this worker's care change."""

    ASSIGNED = "assigned"
    REVOKED = "revoked"
    LOST = "lost"


class Rejected(Protocol):
    """A record that became a dead letter."""

    @property
    def reason(self) -> Reason:
        """Why."""
        ...

    @property
    def offset(self) -> int:
        """Where it lies in its partition."""
        ...


class Examples(Protocol):
    """Where payments lie, by partition and offset, that stand for others; or None."""

    @property
    def late(self) -> tuple[int, int] | None:
        """One that came late."""
        ...

    @property
    def absent(self) -> tuple[tuple[int, int], int] | None:
        """One with a missing or unknown value, and the cell of that."""
        ...

    @property
    def oldest(self) -> tuple[tuple[int, int], int] | None:
        """The one whose record is oldest, and its timestamp, ms."""
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

    @property
    def examples(self) -> Callable[[], Examples]:
        """Looks for payments that stand for others; only where somebody asks."""
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
