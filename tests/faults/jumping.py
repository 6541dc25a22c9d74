"""`fraud-worker run` whose wall clock jumps by an hour, to and fro, at random."""

from __future__ import annotations

import logging
import random
import sys
import time

#: How long it stays where it is, seconds.
_CALM_SECONDS = 0.5

_HOURS = (-1, 0, 1)


class _JumpingClock:
    """Seconds since 1970, as a machine tells them whose time is set all the while."""

    def __init__(self) -> None:
        self._right = time.time
        self._chance = random.Random(1)
        self._jumps_at = time.monotonic()
        self._hours = 0

    def __call__(self) -> float:
        if time.monotonic() >= self._jumps_at:
            self._jumps_at = time.monotonic() + _CALM_SECONDS
            before = self._hours
            self._hours = self._chance.choice([h for h in _HOURS if h != before])
            logging.getLogger("worker.jumping").info("clock_jumped")
        return self._right() + 3600 * self._hours


if __name__ == "__main__":
    # Before anything takes the function for its own.
    time.time = _JumpingClock()
    from worker.cli import main

    sys.exit(main())
