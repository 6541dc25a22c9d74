"""The errors of the worker; the type names the recovery.

WorkerError
    CommitAborted                 send the same batch result again, bounded by time
        CommitUnknown             the same, after asking the broker what became of it
    Fatal                         exit with a named code; the supervisor decides
        InvalidConfig             2: settings, a spec or a file are wrong
        BundleRejected            3: the model bundle cannot be trusted
        StateUnusable             4: no right answer from state or topics
        Fenced                    5: another process took this one's place
        DeadLetterLimitExceeded   6: too many records are rejected to go on
        BrokerFailed              7: unreachable or not authorised after bounded retries
        WatchdogExpired           8: a call to the broker did not return

Anything else is unknown, hence fatal (exit 1).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence


class ExitCode(enum.IntEnum):
    """What the process tells its supervisor."""

    OK = 0
    CRASHED = 1
    CONFIG = 2
    BUNDLE = 3
    STATE = 4
    FENCED = 5
    DEAD_LETTER_LIMIT = 6
    BROKER = 7
    WATCHDOG = 8


class WorkerError(Exception):
    """Base of every error that this package raises on purpose."""


class CommitAborted(WorkerError):
    """The broker did not take the commit; the same result may be sent again."""


class CommitUnknown(CommitAborted):
    """Nobody knows whether the commit was taken; the committed offsets will tell."""


class Fatal(WorkerError):
    """The process must end; `exit_code` says why."""

    exit_code = ExitCode.CRASHED


class InvalidConfig(Fatal):
    """A setting, a spec or an input file is wrong; lists every problem found.

    Parameters
    ----------
    problems
        One sentence each: where, what was found, what is expected.
    """

    exit_code = ExitCode.CONFIG

    def __init__(self, problems: Sequence[str], *, subject: str = "configuration"):
        self.problems = tuple(problems)
        self.subject = subject
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{subject} is not usable:\n{lines}")


class BundleRejected(Fatal):
    """A model bundle is missing, altered, or does not fit this installation."""

    exit_code = ExitCode.BUNDLE


class StateUnusable(Fatal):
    """The log, the topics or the limits do not allow the right state to be built."""

    exit_code = ExitCode.STATE


class Fenced(Fatal):
    """Another process with the same instance name has taken over."""

    exit_code = ExitCode.FENCED


class DeadLetterLimitExceeded(Fatal):
    """So many records are rejected that going on would drain the topic."""

    exit_code = ExitCode.DEAD_LETTER_LIMIT


class BrokerFailed(Fatal):
    """The broker stayed unreachable, or refuses what the worker needs to do."""

    exit_code = ExitCode.BROKER


class WatchdogExpired(Fatal):
    """A blocking call to the broker did not return within its limit."""

    exit_code = ExitCode.WATCHDOG
