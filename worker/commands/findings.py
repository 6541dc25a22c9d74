"""What a check found: fine, worth a thought, or in the way; and what to do."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import NamedTuple

from worker.errors import ExitCode, Fatal


class Level(enum.StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(NamedTuple):
    """One line of a check's report; a failure has the code of its class."""

    level: Level
    subject: str
    text: str
    code: ExitCode = ExitCode.OK

    def __str__(self) -> str:
        """Return it as a line; further lines of a long text are indented."""
        first, *rest = self.text.splitlines()
        return "\n".join([f"{self.level:<5} {self.subject}: {first}", *rest])


def ok(subject: str, text: str) -> Finding:
    """Return what is as it should be."""
    return Finding(Level.OK, subject, text)


def warn(subject: str, text: str) -> Finding:
    """Return what does not stop the worker, but should be known."""
    return Finding(Level.WARN, subject, text)


def fail(subject: str, text: str, code: ExitCode) -> Finding:
    """Return what would stop the worker with that code, or make it wrong."""
    return Finding(Level.FAIL, subject, text, code)


def failure(subject: str, fatal: Fatal) -> Finding:
    """Return what has just stopped a check."""
    return fail(subject, str(fatal).strip(), fatal.exit_code)


def exit_code(findings: Iterable[Finding]) -> ExitCode:
    """Return the code of the first failure."""
    return next((f.code for f in findings if f.level is Level.FAIL), ExitCode.OK)
