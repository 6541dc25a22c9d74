"""The wish to stop, as signals express it and as everything that waits respects it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: How long a call to the broker is repeated, seconds: less than the time after which
#: the group takes the partitions of a member that does not poll.
PATIENCE_SECONDS = 30.0

#: The same once the worker is to stop: an open commit is finished or left to the
#: successor, so that the process ends in under five seconds.
STOPPING_SECONDS = 2.0


class Stop:
    """Set once, from a signal handler; read by the loop and by whoever waits.

    Parameters
    ----------
    clock
        Monotonic seconds; the time of the whole loop.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._requested = threading.Event()
        self._end_by = float("inf")

    def request(self) -> None:
        """Ask for an end."""
        if not self._requested.is_set():
            self._end_by = self.clock() + STOPPING_SECONDS
            self._requested.set()

    @property
    def is_requested(self) -> bool:
        """Whether an end was asked for."""
        return self._requested.is_set()

    @property
    def is_overdue(self) -> bool:
        """Whether the time for ending in good order is over as well."""
        return self.overdue_seconds() > 0

    def overdue_seconds(self) -> float:
        """Return since when that time is over; negative before."""
        return self.clock() - self._end_by

    def wait(self, seconds: float) -> bool:
        """Wait for the wish; True if it came."""
        return self._requested.wait(seconds)

    def deadline(self, began: float) -> float:
        """Return until when an attempt may go on that began then, monotonic seconds."""
        return min(began + PATIENCE_SECONDS, self._end_by)
