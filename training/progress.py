"""How far a long step has come, on standard error: results own standard output."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

#: Takes the number of steps done so far and the number of all.
ProgressCallback = Callable[[int, int], None]

#: Seconds between two lines in a log, and between two updates of a terminal's line.
_LOG_SECONDS, _TERMINAL_SECONDS = 5.0, 0.1


def quiet(done: int, total: int) -> None:
    """Say nothing."""


@contextmanager
def shown(
    what: str,
    *,
    unit: str = "rows",
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[ProgressCallback]:
    """Show the progress of a step; a line at the end says how long it took.

    A terminal sees one line that changes, anything else a line now and then.
    """
    line = _Line(what, unit, stream or sys.stderr, clock)
    yield line.update
    line.finish()


class _Line:
    def __init__(
        self, what: str, unit: str, stream: TextIO, clock: Callable[[], float]
    ) -> None:
        self._what = what
        self._unit = unit
        self._stream = stream
        self._clock = clock
        self._terminal = stream.isatty()
        self._pause = _TERMINAL_SECONDS if self._terminal else _LOG_SECONDS
        self._began = self._shown = clock()
        self._done = 0
        if self._terminal:
            self._write(what)

    def update(self, done: int, total: int) -> None:
        self._done = done
        now = self._clock()
        if now - self._shown >= self._pause:
            self._shown = now
            share = done / total if total else 1.0
            self._write(f"{self._what}: {share:.0%} of {total:,} {self._unit}")

    def finish(self) -> None:
        seconds = self._clock() - self._began
        done = f"{self._done:,} {self._unit} in " if self._done else ""
        self._write(f"{self._what}: {done}{seconds:.1f} s")
        if self._terminal:
            self._stream.write("\n")

    def _write(self, text: str) -> None:
        # The code clears what a longer text left behind on the terminal's line.
        self._stream.write(f"\r\x1b[2K{text}" if self._terminal else f"{text}\n")
        self._stream.flush()
