"""A worker whose broker goes away, and comes back or does not."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from demo.broker import KafkaBroker
from tests.live import Stream, Traffic
from tests.truth_scrapes import scrape, told
from tests.truth_traffic import Payments, begin
from tests.waiting import wait_until
from worker.errors import ExitCode


@pytest.fixture
def stream(needs_kafka: None, models: Path, tmp_path: Path) -> Iterator[Stream]:
    """A stream on a broker of its own, which may be killed."""
    with KafkaBroker(tmp_path / "kafka") as broker:
        made = Stream(
            broker, "away", models, tmp_path, settings={"FRAUD_START": "earliest"}
        )
        made.create_topics()
        with closing(made):
            yield made


def test_a_broker_that_is_killed_and_restarted_loses_and_repeats_nothing(
    stream: Stream,
) -> None:
    traffic = Traffic(stream)
    worker = stream.start()
    with traffic.flowing(1000):
        stream.await_answers(1000)
        stream.kafka.kill()
        stream.kafka.start()
        stream.await_answers(traffic.count + 500)
    stream.await_answers(traffic.count)

    # By itself: the process is the one that was started.
    assert worker.process.poll() is None
    assert stream.answers() == Counter(stream.inputs())
    stream.verify()

    with traffic.flowing(1000):
        stream.await_answers(traffic.count + 500)
        stream.kafka.kill()
        asked = time.monotonic()
        code = worker.end()
        took = time.monotonic() - asked
        stream.kafka.start()

    assert code == ExitCode.OK
    assert took < 5
    worker = stream.start()
    stream.await_answers(len(stream.inputs()))
    assert stream.answers() == Counter(stream.inputs())
    stream.verify()


def test_truth_goes_on_with_the_broker(stream: Stream) -> None:
    """Though the client still believes in the leaders of before."""
    labels = f"{stream.group}-labels"
    stream.kafka.create_topics({labels: stream.partitions})
    stream.settings["FRAUD_LABELS_TOPIC"] = labels
    payments = Payments(stream, labels)
    worker, truth = stream.start("worker"), begin(stream, 1)

    def judged() -> float:
        return told(scrape(truth), "truth_scores_total", outcome="judged")

    payments.write_until(10)
    wait_until(judged, what="something is judged", seconds=60)
    stream.kafka.kill()
    stream.kafka.start()
    before = judged()
    payments.write_until(13)

    wait_until(lambda: judged() > before, what="more is judged", seconds=60)
    assert truth.process.poll() is None
    assert {truth.end(), worker.end()} == {ExitCode.OK}
