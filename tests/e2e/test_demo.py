"""The demo as a person runs it: what it says, how it ends, and what it leaves."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.waiting import is_alive, wait_until

#: What a busy machine may take from the first line to the last.
SECONDS = 120.0

CLEAN = "missing 0, duplicated 0, out of order 0, different 0"

#: Takes a terminal for its own, then becomes the demo.
IN_TERMINAL = """
import os, sys
terminal = os.open(sys.argv[1], os.O_RDWR)
for number in (0, 1, 2):
    os.dup2(terminal, number)
os.execv(sys.executable, [sys.executable, "-m", "demo.run", *sys.argv[2:]])
"""


class Demo:
    """A running demo; everything that it starts can be told by its TMPDIR."""

    def __init__(self, scratch: Path, argv: list[str]):
        self.scratch = scratch
        self.output, self.errors = scratch / "output", scratch / "errors"
        self.temporary = scratch / "tmp"
        self.temporary.mkdir()
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env={**os.environ, "TMPDIR": str(self.temporary)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )

    def text(self) -> str:
        """Return what it has written so far."""
        return self.output.read_text()

    def await_text(self, pattern: str, text: Callable[[], str] | None = None) -> None:
        """Wait until it has written something of that form, perhaps elsewhere."""
        read = text or self.text

        def is_there() -> bool:
            assert self.process.poll() is None, read() + self.errors.read_text()
            return re.search(pattern, read()) is not None

        wait_until(is_there, what=f"{pattern!r} in the output", seconds=SECONDS)

    def await_live(self) -> None:
        """Wait until live traffic flows."""
        self.await_text(r"history +[\d,]+ payments scored")
        wait_until(
            lambda: any("demo.live" in command for command in self.started().values()),
            what="live traffic",
            seconds=SECONDS,
        )

    def started(self) -> dict[int, str]:
        """Return the command lines of what it has started and still runs, by id."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            pid = int(process.name)
            if pid == self.process.pid or not is_alive(pid):
                continue
            try:
                environ = (process / "environ").read_bytes().split(b"\0")
                command = (process / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if f"TMPDIR={self.temporary}".encode() in environ:
                found[pid] = command.replace(b"\0", b" ").decode()
        return found

    def pid_of(self, what: str) -> int:
        """Return the id of the one child whose command line holds that text."""
        (pid,) = (pid for pid, command in self.started().items() if what in command)
        return pid

    def end(self) -> int:
        """Wait for its end; return the exit code."""
        return self.process.wait(SECONDS)

    def leaves_nothing(self) -> bool:
        """Whether nothing runs any more and no file is left."""
        wait_until(
            lambda: not self.started(),
            what=f"the end of {self.started()}",
            seconds=SECONDS,
        )
        return not list(self.temporary.iterdir())


RunDemo = Callable[..., Demo]


@pytest.fixture
def run_demo(tmp_path: Path) -> Iterator[RunDemo]:
    """Return a function that starts the demo with arguments for its command line."""
    running: list[Demo] = []

    def start(*arguments: str, argv: tuple[str, ...] = ("-m", "demo.run")) -> Demo:
        running.append(Demo(tmp_path, [sys.executable, *argv, *arguments]))
        return running[-1]

    yield start
    for demo in running:
        if demo.process.poll() is None:
            demo.process.kill()
            demo.process.wait()


def test_every_record_is_scored_once_and_nothing_is_left(
    needs_kafka: None, run_demo: RunDemo
) -> None:
    demo = run_demo("--seconds=6", "--rate=200", "--workers=2", "--broker=kafka")

    assert demo.end() == 0, demo.errors.read_text()
    lines = demo.text().splitlines()
    said = _numbers(
        r"history +([\d,]+) payments and ([\d,]+) labels", lines
    ) + _numbers(
        r"live +([\d,]+) records: ([\d,]+) scores and ([\d,]+) dead letters; "
        r"([\d,]+) labels",
        lines,
    )
    history, labels, live, scores, dead_letters, live_labels = said
    assert lines[-2] == (
        f"events in {history + live}, labels in {labels + live_labels}, "
        f"scores {history + scores}, dead letters {dead_letters}"
    )
    assert labels > 0
    assert live_labels > 0
    assert lines[-1] == CLEAN
    assert live == scores + dead_letters >= 1200
    assert dead_letters > 0
    assert re.search(r"event to score p50 \d+ ms p99 \d+ ms", demo.text())
    assert re.search(r"\nexample .*customer .* terminal .*\n +- .+: ", demo.text())
    assert "Apache Kafka, exactly once" in demo.text()
    assert demo.leaves_nothing()


def test_ctrl_c_in_a_terminal_ends_the_traffic_and_the_audit_follows(
    run_demo: RunDemo,
) -> None:
    with _terminal() as (name, shown, press):
        demo = run_demo(
            *(name, "--seconds=300", "--rate=200", "--broker=mock"),
            argv=("-c", IN_TERMINAL),
        )
        demo.await_text(r"event to score p99 .* \d+ ms", shown)

        press(b"\x03")

        assert demo.end() == 0, shown()
        wait_until(lambda: CLEAN in shown(), what="the audit", seconds=SECONDS)
    assert "at-least-once demo broker, in memory" in shown()
    assert "the audit claims no more than" in shown()
    assert shown().rindex("\x1b[?25h") > shown().rindex("\x1b[?25l")  # the cursor
    assert demo.leaves_nothing()


def test_sigterm_ends_everything_at_once(needs_kafka: None, run_demo: RunDemo) -> None:
    demo = run_demo("--seconds=300", "--rate=200", "--broker=kafka")
    demo.await_live()
    # The broker, the worker, the traffic. One that is just becoming its program has no
    # environment to be known by.
    wait_until(
        lambda: len(demo.started()) == 3, what="three processes", seconds=SECONDS
    )

    demo.process.send_signal(signal.SIGTERM)

    assert demo.end() == 128 + signal.SIGTERM
    assert "ended by SIGTERM" in demo.errors.read_text()
    assert CLEAN not in demo.text()
    assert demo.leaves_nothing()


@pytest.mark.parametrize(
    ("program", "name"), [("worker.cli", "worker-1"), ("demo.live", "live")]
)
def test_a_program_that_dies_is_shown_with_its_log(
    run_demo: RunDemo, program: str, name: str
) -> None:
    demo = run_demo("--seconds=300", "--rate=200", "--broker=mock")
    demo.await_live()

    os.kill(demo.pid_of(program), signal.SIGKILL)

    assert demo.end() == 1
    assert f"demo: {name} ended with signal 9; the end of " in demo.errors.read_text()
    assert demo.leaves_nothing()


def test_a_killed_demo_takes_everything_with_it(run_demo: RunDemo) -> None:
    demo = run_demo("--seconds=300", "--rate=200", "--broker=mock")
    demo.await_live()
    assert demo.started()

    demo.process.kill()
    demo.process.wait()

    wait_until(
        lambda: not demo.started(), what="the end of all children", seconds=SECONDS
    )


def test_a_missing_bundle_ends_it_with_the_workers_own_words(
    run_demo: RunDemo, tmp_path: Path
) -> None:
    nowhere = tmp_path / "none"
    demo = run_demo("--seconds=5", "--broker=mock", f"--models={nowhere}", "--keep")

    assert demo.end() == 3
    said = demo.errors.read_text()
    assert "topics ended with exit code 3" in said
    assert "fraud-train publish" in said
    (kept,) = demo.temporary.iterdir()
    assert f"kept: {kept}" in said
    assert "fraud-train publish" in (kept / "topics.log").read_text()
    wait_until(
        lambda: not demo.started(), what="the end of all children", seconds=SECONDS
    )


def _numbers(pattern: str, lines: list[str]) -> tuple[int, ...]:
    """Return the numbers in the one line of that form."""
    (found,) = filter(None, (re.fullmatch(pattern, line) for line in lines))
    return tuple(int(text.replace(",", "")) for text in found.groups())


Terminal = tuple[str, Callable[[], str], Callable[[bytes], object]]


@contextmanager
def _terminal() -> Iterator[Terminal]:
    """A terminal: its name, what it has been sent, and its keyboard."""
    ours, theirs = pty.openpty()
    received = bytearray()

    def read() -> None:
        while chunk := _chunk(ours):
            received.extend(chunk)

    def shown() -> str:
        return received.decode(errors="replace")

    reading = threading.Thread(target=read)
    reading.start()
    try:
        yield os.ttyname(theirs), shown, lambda keys: os.write(ours, keys)
    finally:
        os.close(theirs)
        reading.join()
        os.close(ours)


def _chunk(ours: int) -> bytes:
    """Read what comes next; nothing once nobody holds the other end."""
    try:
        return os.read(ours, 4096)
    except OSError:
        return b""
