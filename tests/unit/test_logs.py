"""Log lines name events and facts, seldom the same twice, and never a payment."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeConsumer, FakeProducer
from tests.logging_kept import logging_kept
from tests.pipeline_builders import new_pipeline, payment
from tests.small_models import small_model
from tests.streams import FIRST_MS, PLACE
from tests.workers import DAY_MS, GROUP, INPUT, ManualClock, new_broker
from worker import logs
from worker.errors import BrokerFailed, DeadLetterLimitExceeded, ExitCode
from worker.logs import FORBIDDEN, WARNING_INTERVAL_SECONDS, JsonLines, RateLimit
from worker.loop import DeadLetterLimit, Limits, Report, Restoring, Stop, Worker
from worker.metrics import ModelFacts, WorkerMetrics, exposition
from worker.records import Reason
from worker.recovery import Reach

LOG = logging.getLogger("worker.tested")

KEY = b"customer-9017345"
#: What a payment says here; none of it may come out again.
SECRETS = ("9017345", "84120777", "terminal-555", "7654.32", "not-for-any-log")


@pytest.fixture(autouse=True)
def kept() -> Iterator[None]:
    with logging_kept():
        yield


def secret_payment(**changes: Any) -> bytes:
    fields = {
        "transaction_id": "84120777",
        "customer_id": KEY.decode(),
        "terminal_id": "terminal-555",
        "amount": 7654.32,
        "note": "not-for-any-log",
    }
    return payment(**(fields | changes))


def rejected_records() -> dict[Reason, tuple[bytes | None, bytes | None]]:
    """A record for each reason, as full of secrets as the reason allows."""
    whole = secret_payment()
    nested = whole[:-1] + b',"x":' + b"[" * 500 + b"]" * 500 + b"}"
    missing = whole.replace(b'"terminal_id"', b'"other"')
    return {
        Reason.TOMBSTONE: (KEY, None),
        Reason.EMPTY: (KEY, b""),
        Reason.TOO_LARGE: (KEY, whole + b" " * 100_000),
        Reason.SCHEMA_FRAMING: (KEY, b"\x00\x00\x00\x00\x2a" + whole),
        Reason.NOT_UTF8: (KEY, whole.replace(b"terminal-", b"\xff")),
        Reason.NOT_JSON: (KEY, whole[:-1]),
        Reason.TOO_DEEP: (KEY, nested),
        Reason.NOT_AN_OBJECT: (KEY, b"[" + whole + b"]"),
        Reason.NO_KEY: (None, whole),
        Reason.KEY_MISMATCH: (KEY + b"1", whole),
        Reason.MISSING_FIELD: (KEY, missing),
        Reason.NULL_FIELD: (KEY, secret_payment(terminal_id=None)),
        Reason.WRONG_TYPE: (KEY, secret_payment(amount="7654.32")),
        Reason.OUT_OF_RANGE: (KEY, secret_payment(amount=-7654.32)),
        Reason.TOO_MANY_DECIMALS: (KEY, secret_payment(amount=7654.321)),
        Reason.TEXT_TOO_LONG: (KEY, secret_payment(terminal_id="terminal-555" * 99)),
        Reason.TEXT_EMPTY: (KEY, secret_payment(transaction_id="")),
        Reason.BAD_TIME: (KEY, secret_payment(event_time="not-for-any-log")),
        Reason.TIME_WITHOUT_OFFSET: (
            KEY,
            secret_payment(event_time="2018-07-25T00:00:00"),
        ),
        Reason.TIME_UNIT: (KEY, secret_payment(event_time=FIRST_MS // 1000)),
        Reason.TIME_AHEAD: (KEY, secret_payment(event_time=FIRST_MS + DAY_MS)),
    }


def log_to(form: str, level: str = "debug") -> io.StringIO:
    stream = io.StringIO()
    assert form in {"json", "text", "auto"}
    logs.configure(form=form, level=level, stream=stream)  # type: ignore[arg-type]
    return stream


@pytest.mark.parametrize("form", ["json", "text"])
def test_nothing_of_a_rejected_record_is_logged_or_measured(
    form: str, tmp_path: Path
) -> None:
    """A whole worker answers one record of each reason, and then gives up."""
    records = rejected_records()
    assert set(records) == set(Reason)
    stream = log_to(form)
    worker, metrics, broker = real_worker(tmp_path)
    broker.append(PLACE, secret_payment(), key=KEY, timestamp_ms=FIRST_MS)
    for key, value in records.values():
        broker.append(PLACE, value, key=key, timestamp_ms=FIRST_MS)

    with pytest.raises(DeadLetterLimitExceeded) as ended:
        worker.run()
    logs.last_words(ended.value, exit_code=ended.value.exit_code)

    letters = [
        dict(record.headers)["dlq.reason"].decode()
        for record in broker.records("dead-letters")[0]
    ]
    told = stream.getvalue() + exposition(metrics)("")[0].decode()
    assert letters == list(records)
    assert "partition_stands_still" in stream.getvalue()
    assert [secret for secret in SECRETS if secret in told] == []


def test_each_reason_is_warned_of_once_and_by_the_place_of_its_first_record(
    tmp_path: Path,
) -> None:
    stream = log_to("json")
    worker, _, broker = real_worker(tmp_path)
    for key, value in rejected_records().values():
        for _ in range(2):
            broker.append(PLACE, value, key=key, timestamp_ms=FIRST_MS)

    with pytest.raises(DeadLetterLimitExceeded):
        worker.run()

    lines = map(json.loads, stream.getvalue().splitlines())
    warned = [line for line in lines if line["event"] == "dead_letter"]
    places = [(w["reason"], w["topic"], w["partition"], w["offset"]) for w in warned]
    assert places == [
        (reason, *PLACE, 2 * row) for row, reason in enumerate(rejected_records())
    ]
    assert {line["level"] for line in warned} == {"warning"}


def real_worker(models_dir: Path) -> tuple[Worker, WorkerMetrics, Any]:
    """A worker with a model on the broker in memory, at its limit after 21 letters."""
    model = small_model(models_dir)
    broker = new_broker()
    consumer = FakeConsumer(broker, GROUP, "0", [INPUT])
    facts = ModelFacts(model.version, "0" * 64, "0" * 64, 0.0)
    metrics = WorkerMetrics(facts, app_version="0", topics=[INPUT])
    worker = Worker(
        consumer,
        FakeProducer(consumer),
        new_pipeline(model),
        restoring=Restoring(
            lambda _: model.stages[0].new_state(max_keys=10, max_events=100),
            Reach(DAY_MS, 2 * DAY_MS, 1000),
        ),
        report=Report(metrics),
        limits=Limits(dead_letters=DeadLetterLimit(1.0, len(Reason))),
        stop=Stop(ManualClock()),
    )
    return worker, metrics, broker


def test_a_json_line_holds_time_level_logger_event_and_facts() -> None:
    stream = log_to("json")

    LOG.info("started", extra={"model": "1", "port": 9109, "tags": ("a", b"bytes")})

    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "worker.tested",
        "event": "started",
        "model": "1",
        "port": 9109,
        "tags": ["a", "5 bytes"],
    }


def test_a_text_line_is_for_people() -> None:
    stream = log_to("text")

    LOG.info("started", extra={"model": "1", "port": 9109})

    time_of_day, rest = stream.getvalue().split(" ", 1)
    assert time_of_day.endswith("Z")
    assert rest == "INFO    started model=1 port=9109\n"


def test_what_is_no_terminal_gets_json() -> None:
    stream = log_to("auto")

    LOG.info("started")

    assert json.loads(stream.getvalue())["event"] == "started"


def test_lines_below_the_level_are_not_written() -> None:
    stream = log_to("json", level="warning")

    LOG.info("started")

    assert stream.getvalue() == ""


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_facts_that_would_hold_a_payment_are_hidden(form: str, name: str) -> None:
    stream = log_to(form)

    LOG.info("oops", extra={name: "9017345"})

    assert "9017345" not in stream.getvalue()
    assert "hidden" in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_error_of_other_code_tells_where_it_was_and_not_what_it_says(
    form: str,
) -> None:
    stream = log_to(form)
    try:
        try:
            int("9017345x")
        except ValueError as cause:
            raise BrokerFailed("the broker is gone") from cause
    except BrokerFailed as failed:
        LOG.critical("crashed", exc_info=failed)

    assert "9017345" not in stream.getvalue()
    assert "worker.errors.BrokerFailed: the broker is gone" in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "tests/unit/test_logs.py:" in stream.getvalue()


def test_the_last_words_are_a_line_with_the_exit_code() -> None:
    stream = log_to("json")

    logs.last_words(BrokerFailed("no answer"), exit_code=ExitCode.BROKER)

    line = json.loads(stream.getvalue())
    assert line["level"] == "critical"
    assert (line["event"], line["exit_code"]) == ("stopped", 7)
    assert line["because"] == "no answer"


def test_warnings_of_a_kind_are_written_once_in_an_interval() -> None:
    clock = ManualClock()
    limit = RateLimit(clock=clock)
    passed = [limit.filter(warning("not_json")) for _ in range(1000)]
    other = limit.filter(warning("empty"))
    clock.now += WARNING_INTERVAL_SECONDS
    following = warning("not_json")

    assert passed == [True] + [False] * 999
    assert other
    assert limit.filter(following)
    assert json.loads(JsonLines().format(following))["suppressed"] == 999


def test_only_warnings_are_limited() -> None:
    limit = RateLimit(clock=ManualClock())
    levels = [logging.INFO, logging.ERROR, logging.CRITICAL] * 2

    assert all(limit.filter(warning("x", level)) for level in levels)


def warning(reason: str, level: int = logging.WARNING) -> logging.LogRecord:
    record = logging.makeLogRecord({"name": LOG.name, "msg": "dead_letter"})
    record.levelno = level
    record.reason = reason
    return record
