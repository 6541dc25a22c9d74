"""The watchdog ends what does not return, and leaves the stacks behind."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT
from tests.waiting import wait_until
from worker.errors import ExitCode
from worker.loop.watchdog import GRACE_SECONDS, Watchdog


def test_a_call_that_does_not_return_is_reported_by_name() -> None:
    expired: list[str] = []
    with (
        Watchdog(0.02, on_expired=expired.append) as watchdog,
        watchdog.watching("a commit"),
    ):
        wait_until(lambda: expired, what="the watchdog")

    assert set(expired) == {"a commit"}


def test_calls_that_return_in_time_are_left_alone() -> None:
    expired: list[str] = []
    with Watchdog(0.2, on_expired=expired.append) as watchdog:
        for _ in range(100):
            with watchdog.watching("a commit"):
                pass

    assert expired == []


def test_a_call_that_keeps_a_worker_from_stopping_is_left_where_it_hangs() -> None:
    overdue: list[str] = []
    late = iter([-1.0, GRACE_SECONDS - 0.1, *[GRACE_SECONDS + 0.1] * 1000])
    with (
        Watchdog(
            0.8, lambda: next(late), on_expired=_refuse, on_overdue=overdue.append
        ) as watchdog,
        watchdog.watching("a commit"),
    ):
        wait_until(lambda: overdue, what="the watchdog")

    assert set(overdue) == {"a commit"}


def test_a_process_that_was_told_to_stop_ends_with_code_0() -> None:
    done = _run("""
import logging, threading
from worker.loop.watchdog import Watchdog

logging.basicConfig()
with Watchdog(60, lambda: 5.0) as watchdog, watchdog.watching("a commit"):
    threading.Event().wait()
""")

    assert done.returncode == ExitCode.OK
    assert "stopped_without_broker" in done.stderr


def test_the_process_ends_with_code_8_and_the_stack_of_what_hung() -> None:
    done = _run("""
import threading
from worker.loop.watchdog import Watchdog

def hang_here():
    threading.Event().wait()

with Watchdog(0.1) as watchdog, watchdog.watching("a commit"):
    hang_here()
""")

    assert done.returncode == ExitCode.WATCHDOG
    assert "a commit did not return" in done.stderr
    assert "hang_here" in done.stderr


def _refuse(what: str) -> None:
    raise AssertionError(what)


def _run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
