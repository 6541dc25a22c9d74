"""Ends the process when a call does not return, and leaves the stacks behind.

Nothing else can: a call that hangs in the client hears no signal and no flag. The
supervisor then starts a successor, which finds a consistent state.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from worker.errors import ExitCode


def end_with_stacks(what: str) -> None:
    """Write what every thread is doing to standard error, and exit at once."""
    sys.stderr.write(f"watchdog: {what} did not return; exit {ExitCode.WATCHDOG}\n")
    sys.stderr.flush()
    faulthandler.dump_traceback(all_threads=True)
    os._exit(ExitCode.WATCHDOG)


class Watchdog:
    """Watches one call at a time from a thread of its own; use it as a context manager.

    Parameters
    ----------
    limit_seconds
        How long the call may take.
    on_expired
        What to do about one that takes longer; by default the end of the process.
    """

    def __init__(
        self,
        limit_seconds: float,
        on_expired: Callable[[str], None] = end_with_stacks,
    ):
        self._limit_seconds = limit_seconds
        self._on_expired = on_expired
        self._watched: tuple[float, str] | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._watch, name="watchdog", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed.set()
        self._thread.join()

    @contextmanager
    def watching(self, what: str) -> Iterator[None]:
        """Watch the body: costs two assignments."""
        self._watched = (time.monotonic() + self._limit_seconds, what)
        try:
            yield
        finally:
            self._watched = None

    def _watch(self) -> None:
        tick = min(1.0, self._limit_seconds / 4)
        while not self._closed.wait(tick):
            watched = self._watched
            if watched is not None and time.monotonic() > watched[0]:
                self._on_expired(watched[1])
