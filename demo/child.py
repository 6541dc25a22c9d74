"""Child processes that never outlive this one, however this one ends.

The child is started through this very file: it asks the kernel to be killed with
its parent, and then becomes the program. Where the kernel cannot do that (not
Linux), children end when this interpreter does, but not when it is killed.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import lru_cache
from typing import IO

#: From <linux/prctl.h>: the signal that a process gets when its parent dies.
_PR_SET_PDEATHSIG = 1

#: An orderly end may take this long; then the process is killed.
_STOP_SECONDS = 15.0

Child = subprocess.Popen[bytes]
_Start = tuple[Future[Child], Callable[[], Child]]

_children: weakref.WeakSet[Child] = weakref.WeakSet()


def spawn(
    argv: Sequence[str],
    *,
    output: int | IO[bytes] | None = None,
    errors: int | IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
) -> Child:
    """Start a program that is ended when this process ends, even by SIGKILL.

    It leads a session of its own, so that a Ctrl-C in the terminal reaches only
    this process, which then ends its children in its own order.

    Parameters
    ----------
    output, errors
        As `stdout` and `stderr` of `subprocess.Popen`: by default, this process's.
    death_signal
        What the kernel sends to the child when this process is gone.
    """
    shim = [sys.executable, "-I", "-S", __file__, str(os.getpid())]

    def start() -> Child:
        return subprocess.Popen(
            [*shim, str(int(death_signal)), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=env,
            start_new_session=True,
        )

    child: Future[Child] = Future()
    _starter(os.getpid()).put((child, start))
    return child.result()


def stop(child: Child, *, timeout_seconds: float = _STOP_SECONDS) -> int:
    """End a child with SIGTERM, or with SIGKILL when it takes too long.

    Returns its exit code, negative for the signal that ended it.
    """
    if child.poll() is None:
        child.send_signal(signal.SIGCONT)
        child.terminate()
    try:
        return child.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


@lru_cache(maxsize=1)
def _starter(pid: int) -> queue.SimpleQueue[_Start]:
    """Return the queue of the thread that starts every child of this process.

    The kernel takes the thread that started a child for its parent, so it must live
    as long as the process. A fork has no such thread, hence one for each `pid`.
    """
    starts: queue.SimpleQueue[_Start] = queue.SimpleQueue()
    name = f"start-children-of-{pid}"
    threading.Thread(target=_start_all, args=(starts,), name=name, daemon=True).start()
    return starts


def _start_all(starts: queue.SimpleQueue[_Start]) -> None:
    while True:
        future, start = starts.get()
        try:
            child = start()
        except OSError as error:
            future.set_exception(error)
        else:
            _children.add(child)
            future.set_result(child)


@atexit.register
def _stop_all() -> None:
    for child in list(_children):
        if child.poll() is None:
            stop(child)


def _become(parent: int, death_signal: int, argv: list[str]) -> None:
    """Tie this process to its parent, then turn into the program."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:
            sys.exit("the parent was gone before its child began")
    try:
        os.execvp(argv[0], argv)  # noqa: S606  # there is no shell to ask
    except OSError as error:
        sys.exit(f"{argv[0]}: {error.strerror}")


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
