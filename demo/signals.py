"""What Ctrl-C and SIGTERM mean while the demo runs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

#: A terminal that closes is one more way to say SIGTERM.
_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: How long a second SIGINT counts as an echo of the first.
_ECHO_SECONDS = 1.0


class Ended(BaseException):
    """A signal says that the demo must end now; everything is still cleared up."""

    def __init__(self, number: int):
        self.exit_code = 128 + number
        super().__init__(signal.Signals(number).name)


class Signals:
    """Ctrl-C ends live traffic early, and everything when there is none."""

    def __init__(self) -> None:
        self._can_finish = False
        self._finish_requested_at: float | None = None
        self._ended: Ended | None = None

    @property
    def is_finish_requested(self) -> bool:
        """Whether somebody wants an early end."""
        return self._finish_requested_at is not None

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
        if self._ended or (number == signal.SIGINT and self._is_echo()):
            return
        if number == signal.SIGINT and self._can_finish:
            self._can_finish = False
            self._finish_requested_at = monotonic()
            return
        self._ended = Ended(number)
        raise self._ended

    def check(self) -> None:
        """Raises Ended again if it was raised where nothing can be: in a destructor."""
        if self._ended:
            raise self._ended

    def _is_echo(self) -> bool:
        """Whether it is the same Ctrl-C: a parent that got it too may pass it on."""
        at = self._finish_requested_at
        return at is not None and monotonic() - at < _ECHO_SECONDS


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
