"""Nothing of a payment is told to those who handle none; every stream is scanned."""

from __future__ import annotations

import pytest

from tests.live import PROBES, MakeStream, Traffic
from tests.marks import customer, leaks_in
from worker.errors import ExitCode


def test_what_is_scanned_is_all_that_people_read(make_stream: MakeStream) -> None:
    """And it is full: an empty one would hold no leak."""
    stream = make_stream()
    traffic = Traffic(stream)
    traffic.write(1000)
    stream.start()
    stream.await_answers(1000)

    told = stream.told()

    assert list(told) == [
        "worker-0.log",
        "/metrics of worker-0",
        "/metrics/reference of worker-0",
        *(f"{probe} of worker-0" for probe in PROBES),
        "headers of the dead letters",
    ]
    assert all(told.values())
    assert any(
        "fraud_events_scored_total" in line for line in told["/metrics of worker-0"]
    )
    assert any("dead_letter" in line for line in told["worker-0.log"])
    assert leaks_in(told) == []


def test_a_leak_in_a_log_fails_the_stream(make_stream: MakeStream) -> None:
    stream = make_stream()
    worker = stream.start()
    worker.await_event("started")
    assert worker.end() == ExitCode.OK
    sound = worker.log.read_text()
    worker.log.write_text(f"{sound}paid by {customer(17)}\n")

    with pytest.raises(AssertionError, match=customer(17)):
        stream.close()

    worker.log.write_text(sound)
