"""A worker whose broker goes away, and comes back or does not."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from demo.broker import KafkaBroker
from tests.live import LiveWorker, Stream, Traffic
from tests.truth_scrapes import scrape, told
from tests.truth_traffic import Payments, begin
from tests.waiting import wait_until
from worker.errors import ExitCode
from worker.kafka.ends import ASK_SECONDS
from worker.metrics.recording import TRUST_SECONDS


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


def test_a_broker_that_is_gone_does_not_freeze_the_lag_at_0(stream: Stream) -> None:
    """Nothing waits when it goes, and the worker has nothing to do but to ask."""
    traffic = Traffic(stream)
    worker = stream.start()
    traffic.write(200)
    stream.await_answers(200)
    wait_until(lambda: lowest(worker, MEASURED) > 0, what="an answer about the ends")
    wait_until(lambda: highest(worker, LAG) == 0, what="no lag")
    stream.kafka.kill()
    killed_at = time.time()

    is_told = TRUST_SECONDS + ASK_SECONDS + 10
    wait_until(
        lambda: highest(worker, LAG) > TRUST_SECONDS, what="a lag", seconds=is_told
    )
    seen, at = highest(worker, LAG), time.time()
    measured_at = lowest(worker, MEASURED)
    wait_until(lambda: highest(worker, LAG) >= seen + 1, what="a lag that goes on")

    assert measured_at <= killed_at + ASK_SECONDS
    assert seen <= at - measured_at + 1
    assert highest(worker, BEHIND) == 0, "the last that was known"
    stream.kafka.start()
    wait_until(lambda: highest(worker, LAG) == 0, what="no lag", seconds=60)
    traffic.write(100)
    stream.await_answers(300)
    stream.verify()


MEASURED = "fraud_kafka_measured_timestamp_seconds"
LAG = "fraud_kafka_lag_seconds"
BEHIND = "fraud_kafka_consumer_lag_messages"


def values(worker: LiveWorker, name: str) -> list[float]:
    text = worker.served().get("/metrics", "")
    return [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    ]


def highest(worker: LiveWorker, name: str) -> float:
    return max(values(worker, name), default=math.inf)


def lowest(worker: LiveWorker, name: str) -> float:
    return min(values(worker, name), default=-math.inf)
