"""Scores of a real worker, labels seven days later, and `fraud-worker truth` on Kafka.

What Prometheus' rules make of its counters is what scikit-learn says of the same
payments, although the process is killed again and again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.broker import KafkaBroker
from tests.commanding import run_command
from tests.live import LiveWorker, Stream
from tests.small_models import small_model
from tests.truth_builders import BEGIN_MS, DAY_MS, truth_of
from tests.truth_scrapes import (
    JUDGED_UNTIL,
    assert_equal_to_scikit_learn,
    scenario_of,
    scores_on,
    scrape,
    told,
)
from tests.truth_traffic import DAYS, MATURITY, Payments, begin
from tests.waiting import wait_until
from worker.commands import truth as truth_command
from worker.config import Settings
from worker.errors import StateUnusable


@pytest.fixture
def stream(
    kafka: KafkaBroker, fresh_name: Callable[[str], str], tmp_path: Path
) -> Iterator[Stream]:
    models = tmp_path / "models"
    small_model(models)
    group = fresh_name("truth")
    settings = {"FRAUD_LABELS_TOPIC": f"{group}-labels", "FRAUD_START": "earliest"}
    stream = Stream(kafka, group, models, tmp_path, settings=settings)
    stream.create_topics()
    kafka.create_topics({f"{group}-labels": stream.partitions})
    try:
        yield stream
    finally:
        stream.close()


def test_what_prometheus_says_is_what_scikit_learn_says(
    stream: Stream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed where it stands, three times; each payment is counted once."""
    payments = Payments(stream, stream.settings["FRAUD_LABELS_TOPIC"])
    worker = stream.start("worker")
    truth = begin(stream, 1)
    scrapes = [scrape(truth)]
    assert told(scrapes[0], "truth_scores_total", outcome="judged") == 0
    for life, day in enumerate((10, 13, 17), start=1):
        payments.write_until(day)
        judged = told(scrapes[-1], "truth_scores_total", outcome="judged")

        def goes_on(truth: LiveWorker = truth, judged: float = judged) -> bool:
            now = told(scrape(truth), "truth_scores_total", outcome="judged")
            return now > judged

        wait_until(goes_on, what="more is judged", seconds=60)
        scrapes.append(scrape(truth))
        truth.kill()
        truth = begin(stream, life + 1)
        scrapes.append(scrape(truth))
    payments.write_until(DAYS)
    stream.await_answers(payments.count)
    scored = scores_on(stream)
    # All partitions have come so far; to where the last has, a minute later.
    least_ms = BEGIN_MS + (DAYS - 1) * DAY_MS - MATURITY.total_ms

    def is_judged() -> bool:
        return told(scrape(truth), JUDGED_UNTIL) >= least_ms / 1000

    wait_until(is_judged, what="all that is old enough is judged", seconds=60)
    scrapes.append(scrape(truth))
    until_ms = round(told(scrapes[-1], JUDGED_UNTIL) * 1000)
    assert told(scrapes[-1], "truth_scores_total", outcome="late") == 0

    for before, after in itertools.pairwise(scrapes):
        falling = [
            series
            for series, count in before.items()
            if series[0].endswith(("_total", "_bucket", "_count", "_sum"))
            and after[series] < count
        ]
        assert falling == [], "a counter never falls, whoever tells it"
    said = assert_equal_to_scikit_learn(
        scenario_of(scrapes, tmp_path / "promtool"),
        scrapes[-1],
        truth_of(scored, payments.labels, until_ms=until_ms, maturity=MATURITY),
        version="2018-07-31.1",
    )
    with capsys.disabled():
        print(f"\n{said}")
    assert told(scrapes[-1], "labels_late_total") > 0
    assert told(scrapes[-1], "labels_unmatched_total", reason="unknown") > 0
    assert told(scrapes[-1], "labels_unmatched_total", reason="repeated") > 0
    assert told(scrapes[-1], "truth_scores_total", outcome="repeated") > 0
    assert '"ok"' in truth.served()["/readyz"]
    assert truth.end() == worker.end() == 0


def test_without_its_topics_it_ends_with_a_name(
    kafka: KafkaBroker, tmp_path: Path, fresh_name: Callable[[str], str]
) -> None:
    small_model(tmp_path)
    settings = Settings(
        bootstrap_servers=kafka.bootstrap_servers,
        group=fresh_name("no-truth"),
        scores_topic=fresh_name("no-scores"),
        models_dir=tmp_path,
        metrics_port=0,
        health_port=0,
    )

    with pytest.raises(StateUnusable, match=settings.scores_topic):
        run_command(truth_command, settings)
