"""The command line: help that comes at once, and a code for every way to end."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import ROOT
from tests.logging_kept import logging_kept
from worker import __version__, cli
from worker.errors import (
    BrokerFailed,
    BundleRejected,
    DeadLetterLimitExceeded,
    ExitCode,
    Fatal,
    Fenced,
    InvalidConfig,
    StateUnusable,
    WatchdogExpired,
)

COMMANDS = list(cli.commands())

FATALS = [
    InvalidConfig(["FRAUD_START=x: expected earliest"]),
    BundleRejected("the bundle was altered"),
    StateUnusable("the log begins too late"),
    Fenced("another process took over"),
    DeadLetterLimitExceeded("too many are rejected"),
    BrokerFailed("no answer"),
    WatchdogExpired("a commit did not return"),
]

#: What an unexpected error quotes of a payment.
QUOTED = "customer-9017345"

Ending = Callable[[BaseException], int]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting from outside, and nothing left behind."""
    for name in os.environ:
        if name.startswith("FRAUD_"):
            monkeypatch.delenv(name)
    for name in cli._THREAD_LIMITS:
        monkeypatch.setenv(name, "1")
    with logging_kept():
        yield


@pytest.fixture
def ends_with(monkeypatch: pytest.MonkeyPatch) -> Ending:
    """Return what runs a command that ends with an error."""

    def run(error: BaseException) -> int:
        def main(*_: object) -> int:
            raise error

        module = importlib.import_module("worker.commands.inspect")
        monkeypatch.setattr(module, "main", main)
        return cli.main(["inspect"])

    return run


def exit_of(*arguments: str) -> object:
    """Where argparse ends the process: with which code."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    return ended.value.code


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_shows_examples(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_of(command, "--help") == 0

    text = capsys.readouterr().out
    assert text.startswith(f"usage: fraud-worker {command} ")
    assert "examples:\n" in text
    assert f"  fraud-worker {command}" in text


def test_help_names_every_command_and_every_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_of("--help") == 0

    words = capsys.readouterr().out.split()
    assert {"run", "check", "verify"} <= set(COMMANDS)
    assert set(COMMANDS) <= set(words)
    assert {str(code.value) for code in ExitCode} | {"130"} <= set(words)


def test_every_exit_code_has_a_meaning() -> None:
    assert set(cli.EXIT_MEANINGS) == set(ExitCode)


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_comes_at_once_because_nothing_heavy_is_loaded(flag: str) -> None:
    program = (
        "import atexit, sys\n"
        "heavy = {'numpy', 'numba', 'sklearn', 'confluent_kafka', 'msgspec'}\n"
        "atexit.register(lambda: print('loaded', sorted(heavy & set(sys.modules))))\n"
        "from worker.cli import main\n"
        f"main([{flag!r}])\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ended.returncode == 0
    assert ended.stdout.splitlines()[-1] == "loaded []"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_of("--version") == 0
    assert capsys.readouterr().out == f"fraud-worker {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [[], ["dance"], ["run", "--no-such-flag"], ["inspect", "--grou", "x"]]
)
def test_arguments_that_mean_nothing_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_of(*arguments) == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("fatal", FATALS, ids=lambda fatal: type(fatal).__name__)
def test_a_fatal_error_ends_with_its_code_and_its_words(
    fatal: Fatal, ends_with: Ending, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends_with(fatal) == fatal.exit_code
    assert capsys.readouterr().err == f"fraud-worker: {fatal}\n"


def test_fatal_errors_have_codes_of_their_own() -> None:
    kinds = Fatal.__subclasses__()

    assert {type(fatal) for fatal in FATALS} == set(kinds)
    assert len({kind.exit_code for kind in kinds} - {0, 1}) == len(kinds)


def test_a_crash_gives_1_and_places_in_the_code_but_no_payload(
    ends_with: Ending, capsys: pytest.CaptureFixture[str]
) -> None:
    crash = ValueError(f"cannot read {QUOTED}")
    crash.__cause__ = KeyError(QUOTED)

    assert ends_with(crash) == ExitCode.CRASHED

    out, err = capsys.readouterr()
    assert "CRITICAL crashed" in err
    assert "ValueError" in err
    assert "KeyError" in err
    assert "worker/cli.py:" in err
    assert "tests/unit/test_cli.py:" in err
    assert QUOTED not in out + err


def test_control_c_ends_quietly(
    ends_with: Ending, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends_with(KeyboardInterrupt()) == cli.INTERRUPTED == 130
    assert capsys.readouterr() == ("", "")


def test_a_variable_that_is_no_setting_is_refused_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FRAUD_MODEL_DIR", "x")

    assert cli.main(["inspect"]) == ExitCode.CONFIG

    expected = "FRAUD_MODEL_DIR: no such setting; did you mean FRAUD_MODELS_DIR?"
    assert expected in capsys.readouterr().err


def test_a_bundle_that_is_missing_ends_with_its_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("FRAUD_MODELS_DIR", str(tmp_path))

    assert cli.main(["inspect"]) == ExitCode.BUNDLE


def test_limits_of_threads_are_set_unless_somebody_wants_others() -> None:
    environ = {"OMP_NUM_THREADS": "4"}

    cli.limit_threads(environ)

    assert environ.pop("OMP_NUM_THREADS") == "4"
    assert set(environ.values()) == {"1"}
    assert "NUMBA_NUM_THREADS" in environ
