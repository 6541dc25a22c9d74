"""Measures how long the steps of a batch take."""

from __future__ import annotations

from time import perf_counter

#: The steps of a batch in the pipeline, in order.
STEPS = ("decode", "transform", "score", "encode")


class Stopwatch:
    """Adds up the seconds of each step; what lies between two steps is the later's."""

    __slots__ = ("_since", "seconds")

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STEPS, 0.0)
        self._since = perf_counter()

    def lap(self, step: str) -> None:
        """Credit the time since the last lap to a step."""
        now = perf_counter()
        self.seconds[step] += now - self._since
        self._since = now
