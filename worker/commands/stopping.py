"""Lets signals end a command that runs until it is stopped."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from worker.loop import Stop


@contextmanager
def signals_to(stop: Stop) -> Iterator[None]:
    """Let SIGTERM and SIGINT ask for an end, and nothing more.

    A handler in Python would wait until the main thread comes back from the client,
    where it may hang. The interpreter's own handler does not: it writes a byte.
    """
    numbers = (signal.SIGTERM, signal.SIGINT)
    receiving, sending = socket.socketpair()
    sending.settimeout(0)
    listener = threading.Thread(target=_listen, args=(receiving, stop), name="signals")
    listener.start()
    before = [signal.signal(number, lambda *_: None) for number in numbers]
    wakeup_before = signal.set_wakeup_fd(sending.fileno())
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup_before)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        sending.close()
        listener.join()
        receiving.close()


def _listen(receiving: socket.socket, stop: Stop) -> None:
    while receiving.recv(1):
        stop.request()
