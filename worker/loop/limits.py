"""Everything in the loop that has a bound, and what the bound is."""

from __future__ import annotations

from dataclasses import dataclass

from worker.loop.aligning import Aligning


@dataclass(frozen=True, slots=True)
class DeadLetterLimit:
    """The policy.

    Attributes
    ----------
    max_ratio
        Largest share of dead letters among a partition's latest records; 1 is no limit.
    max_consecutive
        Most dead letters in a row; 0 is no limit.
    """

    max_ratio: float
    max_consecutive: int


NO_DEAD_LETTER_LIMIT = DeadLetterLimit(max_ratio=1.0, max_consecutive=0)


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds an iteration.

    Attributes
    ----------
    poll_seconds
        Longest wait for a first record: a signal is noticed between two polls.
    hold_seconds
        How long a result is sent again: longer than the group takes to notice that it
        has lost a member, or a member that was merely slow would give up too early.
    pause_after_seconds
        A hold that lasts longer pauses the partitions; earlier, that would only throw
        away what the client has fetched.
    idle_commit_seconds
        Partitions without records are committed again this often: commits expire.
    load_seconds, idle_load_seconds
        How long states are filled from snapshots between two polls: while others are
        answered meanwhile, and while there is nothing else to do.
    load_poll_seconds
        Longest wait for a first record meanwhile.
    commit_seconds
        After this long the watchdog ends the process: a commit with its own patience,
        an abort and a new producer takes less.
    aligning
        How far apart in event time inputs are handed on; None where nothing is.
    """

    max_batch: int = 32_768
    poll_seconds: float = 0.1
    hold_seconds: float = 90.0
    pause_after_seconds: float = 1.0
    idle_commit_seconds: float = 3600.0
    measure_seconds: float = 1.0
    load_seconds: float = 0.004
    idle_load_seconds: float = 0.04
    load_poll_seconds: float = 0.002
    commit_seconds: float = 120.0
    dead_letters: DeadLetterLimit = NO_DEAD_LETTER_LIMIT
    aligning: Aligning | None = None
