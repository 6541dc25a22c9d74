"""What Ctrl-C and SIGTERM mean while the demo runs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: A terminal that closes is one more way to say SIGTERM.
_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(BaseException):
    """A signal says that the demo must end now; everything is still cleared up."""

    def __init__(self, number: int):
        self.exit_code = 128 + number
        super().__init__(signal.Signals(number).name)


class Signals:
    """Ctrl-C ends live traffic early, and everything when there is none.

    Attributes
    ----------
    is_finish_requested
        Whether somebody wants an early end.
    """

    def __init__(self) -> None:
        self.is_finish_requested = False
        self._can_finish = False
        self._is_ending = False

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Let the first Ctrl-C inside of the context only ask for an early end."""
        self._can_finish = True
        try:
            yield
        finally:
            self._can_finish = False

    def received(self, number: int, _: FrameType | None = None) -> None:
        """Raises Ended, once: nothing shall disturb the clearing up."""
        if self._is_ending:
            return
        if number == signal.SIGINT and self._can_finish:
            self._can_finish = False
            self.is_finish_requested = True
            return
        self._is_ending = True
        raise Ended(number)


@contextmanager
def signals() -> Iterator[Signals]:
    """Receive signals inside of the context."""
    received = Signals()
    before = [signal.signal(number, received.received) for number in _NUMBERS]
    try:
        yield received
    finally:
        for number, handler in zip(_NUMBERS, before, strict=True):
            signal.signal(number, handler)
