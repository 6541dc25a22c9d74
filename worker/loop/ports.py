"""What the loop needs from the broker: two protocols, spoken in our own words.

worker.kafka implements them for Kafka, tests/fakes.py in memory; one suite of tests
holds both to them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from worker.records import LogBounds, NextOffset, Output, RecordBatch, TopicPartition

Assigned = Callable[
    [Mapping[TopicPartition, NextOffset | None]], Mapping[TopicPartition, int]
]
Gone = Callable[[Sequence[TopicPartition]], None]


class Consumer(Protocol):
    """A member of the group; reads committed records only."""

    def subscribe(
        self, *, on_assigned: Assigned, on_revoked: Gone, on_lost: Gone
    ) -> None:
        """Join the group; assignment changes come from inside `poll` and `close`.

        Parameters
        ----------
        on_assigned
            Receives what the group committed for each new partition, None where it
            never did; returns the offsets at which reading starts. Those left out are
            ours, too, and wait for `start`.
        on_revoked, on_lost
            Receive partitions that move on, and partitions that moved on unnoticed.
        """
        ...

    def poll(
        self, max_records: int, timeout_seconds: float, gather_seconds: float = 0.0
    ) -> RecordBatch:
        """Return records of partitions that are assigned when it returns.

        Waits for a first record at most as long as given, and for company that is
        known to come. Nothing that was polled under an earlier assignment is among
        them.
        """
        ...

    def start(self, starts: Mapping[TopicPartition, int]) -> None:
        """Start reading partitions that `on_assigned` left out, between two polls."""
        ...

    def committed(
        self, places: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, NextOffset | None]:
        """Return what the group committed, once no commit is open any more."""
        ...

    def log_bounds(
        self, places: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, LogBounds]:
        """Return what each partition still holds."""
        ...

    def offsets_at(
        self, timestamps_ms: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, int | None]:
        """Return each partition's first offset that is no older than its time."""
        ...

    def positions(self) -> Mapping[TopicPartition, int]:
        """Return the offset up to which each partition has been read."""
        ...

    def ended(self) -> Collection[TopicPartition]:
        """Return the partitions of which all has been read that there was."""
        ...

    def written_until(
        self, places: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        """Return where logs end, commits included that are still open.

        A position gets there when those are closed. Those are left out for which the
        broker does not answer at once.
        """
        ...

    def lags(self) -> Mapping[TopicPartition, int]:
        """Return how many offsets lie before the end, where that is known.

        Where the broker is gone this stands still; `told_at` says as of when it holds.
        """
        ...

    def told_at(self) -> Mapping[TopicPartition, float]:
        """Return as of when the broker has told the end, seconds since 1970."""
        ...

    def headrooms(self) -> Mapping[TopicPartition, int]:
        """Return how many offsets lie behind the start, where that is known."""
        ...

    def pause(self, places: Collection[TopicPartition]) -> None:
        """Stop reading those of the partitions that are assigned."""
        ...

    def resume(self, places: Collection[TopicPartition]) -> None:
        """Go on reading those of the partitions that were paused."""
        ...

    def close(self) -> None:
        """Give the partitions back and leave; calls on_revoked."""
        ...


class Producer(Protocol):
    """Makes outputs and next offsets visible together."""

    def commit(
        self,
        outputs: Sequence[Output],
        next_offsets: Mapping[TopicPartition, NextOffset],
    ) -> None:
        """Return when all of it is visible.

        Raises
        ------
        CommitAborted
            None of it is.
        CommitUnknown
            Nobody knows, but the committed offsets tell.
        Fatal
            It cannot be sent again by this process.
        """
        ...

    def close(self) -> None:
        """Let go of the broker."""
        ...
