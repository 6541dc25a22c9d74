"""The demo's command line, and what signals mean to it."""

from __future__ import annotations

import signal

import pytest

from demo.run import main
from demo.signals import Ended, Signals


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "python -m demo.run --seconds 300 --workers 2" in text
    assert max(map(len, text.splitlines())) <= 88


@pytest.mark.parametrize(
    "wrong",
    [
        ("--seconds", "0"),
        ("--rate", "none"),
        ("--workers", "0"),
        ("--workers", "33"),
        ("--broker", "other"),
    ],
)
def test_a_wrong_argument_is_named(
    wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(wrong))

    assert ended.value.code == 2
    assert f"argument {wrong[0]}" in capsys.readouterr().err


def test_more_workers_than_the_mock_has_partitions_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--broker", "mock", "--workers", "5"]) == 1
    assert "4 workers at most" in capsys.readouterr().err


def test_ctrl_c_during_live_traffic_asks_for_an_early_end() -> None:
    signals = Signals()

    with signals.finishing():
        signals.received(signal.SIGINT)

    assert signals.is_finish_requested


def test_ctrl_c_before_live_traffic_ends_everything() -> None:
    signals = Signals()

    with pytest.raises(Ended) as ended:
        signals.received(signal.SIGINT)

    assert ended.value.exit_code == 130


def test_the_same_ctrl_c_may_come_twice() -> None:
    signals = Signals()

    with signals.finishing():
        signals.received(signal.SIGINT)
        signals.received(signal.SIGINT)

    assert signals.is_finish_requested


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_end_everything_even_during_live_traffic(
    number: signal.Signals,
) -> None:
    signals = Signals()

    with signals.finishing(), pytest.raises(Ended, match=number.name) as ended:
        signals.received(number)

    assert ended.value.exit_code == 128 + number
    assert not signals.is_finish_requested


def test_nothing_disturbs_the_clearing_up() -> None:
    signals = Signals()
    with pytest.raises(Ended):
        signals.received(signal.SIGTERM)

    signals.received(signal.SIGTERM)
    signals.received(signal.SIGINT)


def test_an_end_that_was_raised_in_a_destructor_is_raised_again() -> None:
    """The interpreter drops what is raised there."""
    signals = Signals()
    signals.check()
    with pytest.raises(Ended):
        signals.received(signal.SIGTERM)

    with pytest.raises(Ended):
        signals.check()
