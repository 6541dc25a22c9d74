"""Runs the programs of this project as children of the demo."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from demo import child
from demo.kafka_jars import tail

#: Calls a program's entry point, as its script does, with the Python of the demo.
_START = "import sys; from {package}.cli import main; sys.exit(main())"

_PACKAGES = {"fraud-worker": "worker", "fraud-train": "training"}

Program = Literal["fraud-worker", "fraud-train"]


class DemoError(Exception):
    """The demo cannot go on; says why, with the end of the log of whoever failed.

    Attributes
    ----------
    exit_code
        That of the program that failed.
    """

    def __init__(self, message: str, *, exit_code: int = 1):
        self.exit_code = exit_code
        super().__init__(message)


def command(program: Program, *arguments: str) -> list[str]:
    """Return the command line that runs a program of this project."""
    start = _START.format(package=_PACKAGES[program])
    return [sys.executable, "-c", start, *arguments]


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this environment with these settings of a worker, and no others."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith("FRAUD_")}
    return {**kept, **settings}


@contextmanager
def running(
    argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[child.Child]:
    """Run a program that writes to a log; it is gone at the end of the context."""
    with log.open("ab") as output:
        process = child.spawn(argv, output=output, errors=output, env=env)
    try:
        yield process
    finally:
        child.stop(process)


def run(argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a program to its end; return what it wrote.

    Raises
    ------
    DemoError
        It failed.
    """
    with running(argv, log=log, env=env) as process:
        await_end(process, log)
    return log.read_text()


def await_end(process: child.Child, log: Path) -> None:
    """Wait for a program that must succeed.

    Raises
    ------
    DemoError
        It failed.
    """
    if code := process.wait():
        raise failure(log.stem, code, log)


def failure(name: str, code: int, log: Path) -> DemoError:
    """Return the error of a program that ended as it should not have."""
    how = f"exit code {code}" if code >= 0 else f"signal {-code}"
    exit_code = code if code > 0 else 1
    return DemoError(f"{name} ended with {how}; {tail(log)}", exit_code=exit_code)
