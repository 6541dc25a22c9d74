"""Waiting with a deadline, never for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

#: How often a condition is looked at again.
_LOOK_SECONDS = 0.01


def wait_until(
    condition: Callable[[], object], *, what: str, seconds: float = 10.0
) -> None:
    """Return as soon as the condition holds; fails with `what` when it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(_LOOK_SECONDS)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
