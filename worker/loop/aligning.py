"""What the loop is told about keeping records of several partitions in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.records import NextOffset, TopicPartition


class Times(Protocol):
    """Reads the times of records."""

    def read(
        self, values: list[bytes | None], timestamps_ms: list[int], /
    ) -> NDArray[np.int64]:
        """Return (n,) ms, `MISSING` where a record has none that may be true."""


@dataclass(frozen=True, slots=True)
class Aligning:
    """Which records are aligned, and how closely.

    Attributes
    ----------
    times
        Reads the times of each input topic; the first topics' leave first in a step.
    inner_times
        Reads those of each topic between stages.
    step_ms
        How far apart records may leave here.
    slack_ms
        How far ahead of the other workers they may leave: less than events may be late.
    partition_count
        Of each input.
    last_committed
        Returns what the group last committed; waits for no commit that is open.
    """

    times: Mapping[str, Times]
    inner_times: Mapping[str, Times]
    step_ms: int
    slack_ms: int
    partition_count: int
    last_committed: Callable[
        [Sequence[TopicPartition]], Mapping[TopicPartition, NextOffset | None]
    ]

    @property
    def places(self) -> set[TopicPartition]:
        """All partitions of the inputs, whoever reads them."""
        numbers = range(self.partition_count)
        return {TopicPartition(topic, n) for topic in self.times for n in numbers}
