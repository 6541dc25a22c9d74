"""Child processes end with their parent, however that one ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from demo import child
from tests.waiting import is_alive, wait_until

SLEEP = [sys.executable, "-c", "import signal; signal.pause()"]

PARENT = f"""
import signal
from demo import child
print(child.spawn({SLEEP!r}).pid, flush=True)
"""


def test_a_child_is_gone_after_its_parent_was_killed() -> None:
    parent = _start_parent("signal.pause()")
    pid = _read_pid(parent)

    parent.kill()
    parent.communicate()

    wait_until(lambda: not is_alive(pid), what="the child is gone")


def test_a_child_is_gone_after_its_parent_has_ended() -> None:
    parent = _start_parent("")
    pid = _read_pid(parent)

    parent.communicate()

    wait_until(lambda: not is_alive(pid), what="the child is gone")
    assert parent.returncode == 0


def test_a_child_outlives_the_thread_that_asked_for_it() -> None:
    started: list[child.Child] = []
    thread = threading.Thread(target=lambda: started.append(child.spawn(SLEEP)))
    thread.start()
    thread.join()

    with pytest.raises(subprocess.TimeoutExpired):
        started[0].wait(0.3)

    assert child.stop(started[0]) == -signal.SIGTERM


def test_a_paused_child_can_be_stopped() -> None:
    process = child.spawn(SLEEP)
    os.kill(process.pid, signal.SIGSTOP)

    assert child.stop(process) == -signal.SIGTERM


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    deaf = f"""
import pathlib, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path({str(ready)!r}).touch()
while True:
    signal.pause()
"""
    process = child.spawn([sys.executable, "-c", deaf])
    wait_until(ready.exists, what="the child ignores SIGTERM")

    assert child.stop(process, timeout_seconds=0.2) == -signal.SIGKILL


def test_a_program_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as errors:
        code = child.spawn(["/nowhere/kafka"], errors=errors).wait(10)

    assert code != 0
    assert "/nowhere/kafka" in log.read_text()


def test_a_parent_that_is_gone_already_gets_no_child() -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    shim = [sys.executable, "-I", "-S", child.__file__, str(dead.pid), "9"]

    done = subprocess.run([*shim, "echo", "alive"], check=False, capture_output=True)

    assert done.returncode != 0
    assert done.stdout == b""


def _start_parent(then: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PARENT + then],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def _read_pid(parent: subprocess.Popen[str]) -> int:
    assert parent.stdout is not None
    return int(parent.stdout.readline())
