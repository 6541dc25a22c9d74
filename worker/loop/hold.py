"""How long a result is held that could not be committed, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.records import TopicPartition

#: Waits between two attempts, seconds: the first rebalance step is over in
#: milliseconds, an outage is not over in the next fifth of a second.
FIRST_WAIT_SECONDS = 0.005
LONGEST_WAIT_SECONDS = 0.2


@dataclass(slots=True)
class Hold:
    """One result being held.

    Attributes
    ----------
    since
        When it was first sent, monotonic seconds.
    tries
        How often it was sent in vain.
    paused
        Partitions that stand still because of it.
    """

    since: float
    tries: int = 0
    paused: set[TopicPartition] = field(default_factory=set)

    def next_wait(self) -> float:
        """Count one more attempt in vain; return how long to poll before the next."""
        wait = FIRST_WAIT_SECONDS * float(2**self.tries) if self.tries < 10 else 1.0
        self.tries += 1
        return min(wait, LONGEST_WAIT_SECONDS)
