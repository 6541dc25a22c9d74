"""Ends the process when a call does not return, and leaves the stacks behind.

Nothing else can: a call that hangs in the client hears no signal, no flag and no time
limit of its own (librdkafka #5456). The successor finds a consistent state.
"""

from __future__ import annotations

import faulthandler
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from worker.errors import ExitCode

_LOG = logging.getLogger(__name__)

#: How much longer than asked for a call may take once the worker is to stop, seconds:
#: those that heed their own time limit come back within it.
GRACE_SECONDS = 1.5


def end_with_stacks(what: str) -> None:
    """Write what every thread is doing to standard error, and exit at once."""
    sys.stderr.write(f"watchdog: {what} did not return; exit {ExitCode.WATCHDOG}\n")
    sys.stderr.flush()
    faulthandler.dump_traceback(all_threads=True)
    os._exit(ExitCode.WATCHDOG)


def end_as_asked(what: str) -> None:
    """Exit at once: told to stop, and the broker does not let it do so in order."""
    _LOG.warning("stopped_without_broker", extra={"unfinished": what})
    logging.shutdown()
    os._exit(ExitCode.OK)


class Watchdog:
    """Watches one call at a time from a thread of its own; use it as a context manager.

    Parameters
    ----------
    limit_seconds
        How long the call may take.
    overdue_seconds
        Tells since when the worker should have stopped; negative before.
    on_expired
        What to do about one that takes longer; by default the end of the process.
    on_overdue
        The same for one that keeps the worker from stopping.
    """

    def __init__(
        self,
        limit_seconds: float,
        overdue_seconds: Callable[[], float] = lambda: -math.inf,
        *,
        on_expired: Callable[[str], None] = end_with_stacks,
        on_overdue: Callable[[str], None] = end_as_asked,
    ):
        self._limit_seconds = limit_seconds
        self._overdue_seconds = overdue_seconds
        self._on_expired = on_expired
        self._on_overdue = on_overdue
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
        tick = min(0.5, self._limit_seconds / 4)
        while not self._closed.wait(tick):
            watched = self._watched
            if watched is None:
                continue
            expires, what = watched
            if self._overdue_seconds() > GRACE_SECONDS:
                self._on_overdue(what)
            elif time.monotonic() > expires:
                self._on_expired(what)
