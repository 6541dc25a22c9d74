"""Commits of partitions in which nothing happens: without any, they expire."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from worker.pipeline import BatchResult, PartitionResult, PartitionState
from worker.records import NextOffset


def offsets_alone(partitions: Iterable[PartitionState]) -> BatchResult:
    """Return what commits live partitions again where they stand."""
    return BatchResult({each.place: _offset_alone(each) for each in partitions}, {})


def _offset_alone(partition: PartitionState) -> PartitionResult:
    offset = max(partition.next_offset, partition.live_from)
    nothing = np.empty(0, np.int64)
    return PartitionResult(
        epoch=partition.epoch,
        next_offset=NextOffset(offset, partition.remember(partition.watermark_ms)),
        outputs=[],
        replayed=0,
        rejected=[],
        flagged=0,
        late=0,
        duplicate=0,
        incomplete=0,
        timestamps_ms=nothing,
        scored_timestamps_ms=nothing,
    )
