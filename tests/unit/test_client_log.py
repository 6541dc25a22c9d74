"""The client's own lines become events of ours."""

from __future__ import annotations

import logging

import pytest

from worker.kafka.client_log import ClientLog


def line(level: int, facility: str) -> tuple[int, str, str, str, str]:
    return level, "%s [%s] %s", facility, "g-0#producer-1", "Disconnected"


def test_what_the_client_repairs_is_only_seen_by_those_who_look(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG, "worker"):
        ClientLog().log(*line(logging.INFO, "FAIL"))
        ClientLog().log(*line(logging.ERROR, "REQTMOUT"))

    assert [(r.levelname, r.message) for r in caplog.records] == [
        ("DEBUG", "client_fail"),
        ("WARNING", "client_reqtmout"),
    ]
    assert vars(caplog.records[0])["detail"] == "Disconnected"


def test_a_connection_that_broke_is_told_whatever_its_weight() -> None:
    heard: list[str] = []
    log = ClientLog(on_broken=heard.append)
    log.log(*line(logging.INFO, "FAIL"))
    log.log(*line(logging.ERROR, "FAIL"))
    log.log(*line(logging.ERROR, "REQTMOUT"))

    assert heard == ["broken_connection"] * 2
