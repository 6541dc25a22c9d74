"""The Handbook's payments and labels, streamed as a backlog through two stages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import confluent_kafka
import numpy as np
import pytest
from numpy.typing import NDArray

from demo.broker import KafkaBroker
from tests.conftest import ROOT
from tests.live import _headers
from tests.reading_back import read_back
from tests.small_models import small_model
from tests.staged import StagedStream
from tests.truth_builders import HOUR_MS, Label, truth_of
from tests.truth_scrapes import (
    JUDGED_UNTIL,
    assert_equal_to_scikit_learn,
    scenario_of,
    scores_on,
    scrape,
    told,
)
from tests.waiting import wait_until
from training.commands.inputs import read_spec
from training.dataset import read_dataset
from training.featurize import feature_matrix
from training.golden import encode_events
from training.labels import label_history, read_labels
from training.split import DAY_MS, LabelledHistory
from worker.bundle import read_bundle
from worker.codec import parse_origin
from worker.codec.labels import FRAUD, LABEL_TIME, label_schema
from worker.codec.score_reader import read_scores
from worker.codec.scores import published_scores
from worker.errors import ExitCode
from worker.features import Spec, row_digests
from worker.records import EventBatch
from worker.scoring import load_model
from worker.truth import Maturity

pytestmark = pytest.mark.data

#: Days that are streamed: longer than the windows of a month and their delay.
DAYS = 45

#: One customer in so many: enough for windows of terminals to hold a few payments.
CUSTOMERS = 4

#: Frauds are known so long after they happened; no window looks at younger than a week.
LABEL_DELAY_MS = 5 * DAY_MS


@dataclass(frozen=True)
class Handbook:
    """The first days in order of event time, their labels, and training's features."""

    spec: Spec
    events: EventBatch
    history: LabelledHistory
    X: NDArray[np.float64]


@pytest.fixture(scope="module")
def book(handbook: Path) -> Handbook:
    return first_days(handbook, DAYS, CUSTOMERS)


def first_days(handbook: Path, days: int, customers: int) -> Handbook:
    spec = read_spec("handbook")
    events = read_dataset(handbook, spec).events
    labels = read_labels(handbook, spec.schema, names={})
    delay_ms = 7 * DAY_MS
    history = label_history(events, labels, spec.schema, label_delay_ms=delay_ms)[0]
    until_ms = history.event_time_ms[0] + days * DAY_MS
    ids = np.array([int(str(i)) for i in events.columns["customer_id"]])
    chosen = (history.event_time_ms < until_ms) & (ids % customers == 0)
    events, history = events.take(np.flatnonzero(chosen)), history.take(chosen)
    X = feature_matrix(spec, events, history=history)
    return Handbook(spec, events, history, X)


#: The spec as it is, and where payments may have any key: then a stage before brings
#: each to its customer.
STAGES = {2: 'name = "handbook"', 3: 'name = "handbook"\nrekey = true'}


@pytest.fixture(params=STAGES, ids="{} stages".format)
def stream(
    request: pytest.FixtureRequest,
    kafka: KafkaBroker,
    tmp_path: Path,
    fresh_name: Callable[[str], str],
) -> Iterator[StagedStream]:
    text = (ROOT / "training" / "specs" / "handbook.toml").read_text()
    assert STAGES[2] in text
    text = text.replace(STAGES[2], STAGES[request.param], 1)
    stream = StagedStream(
        kafka,
        fresh_name("handbook"),
        tmp_path / "models",
        tmp_path,
        partitions=4,
        settings={"FRAUD_START": "earliest"},
        model=small_model(tmp_path / "models", spec_text=text),
    )
    stream.create_topics()
    yield stream
    stream.stop()


def test_a_backlog_gives_the_features_and_scores_of_training(
    stream: StagedStream, book: Handbook
) -> None:
    """However many stages: what each hands on, and the scores, come in order."""
    send(stream, book)
    worker = stream.start()
    assert "missing 0, duplicated 0, out of order 0, different 0" in stream.verify(
        "--timeout", "120"
    )

    digests, scores, flags = answers(stream, book)

    assert stream.model is not None
    assert flags == set()
    assert np.array_equal(digests, row_digests(book.X))
    assert np.array_equal(scores, published_scores(stream.model.scorer.score(book.X)))
    assert greatest_delay_ms(stream) <= 2 * HOUR_MS
    assert worker.end() == ExitCode.OK


def test_a_worker_that_joins_late_changes_nothing(
    stream: StagedStream, book: Handbook
) -> None:
    """Half of the partitions move in the middle of the backlog, and stand meanwhile."""
    send(stream, book)
    first = stream.start("0")
    stream.await_answers(len(book.events) // 10)
    second = stream.start("1")
    assert "missing 0, duplicated 0, out of order 0, different 0" in stream.verify(
        "--timeout", "120"
    )

    digests, _, flags = answers(stream, book)

    assert second.events("partition_live")
    assert flags == set()
    assert np.array_equal(digests, row_digests(book.X))
    assert {first.end(), second.end()} == {ExitCode.OK}


@pytest.fixture
def shipped(
    kafka: KafkaBroker, tmp_path: Path, fresh_name: Callable[[str], str]
) -> Iterator[StagedStream]:
    """The model that ships, which has learnt from later payments than these."""
    models = ROOT / "models"
    stream = StagedStream(
        kafka,
        fresh_name("shipped"),
        models,
        tmp_path,
        partitions=4,
        settings={"FRAUD_START": "earliest"},
        model=load_model(read_bundle(models)),
    )
    stream.create_topics()
    yield stream
    stream.stop()


def test_labels_tell_of_the_shipped_model_what_scikit_learn_tells(
    shipped: StagedStream,
    book: Handbook,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """While a backlog is worked off, from the first payment to the last."""
    truth = shipped.start("truth", command="truth")
    truth.await_event("started")
    scrapes = [scrape(truth)]
    send(shipped, book)
    worker = shipped.start()
    maturity = Maturity(7 * DAY_MS, book.spec.allowed_lateness_ms)
    last_ms = int(book.events.event_time_ms[-1])

    def is_judged() -> bool:
        until_ms = told(scrape(truth), JUDGED_UNTIL) * 1000
        return until_ms >= last_ms - maturity.total_ms - HOUR_MS

    wait_until(is_judged, what="all that is old enough is judged", seconds=240)
    scrapes.append(scrape(truth))

    labels = [
        Label(name, int(ms), is_fraud=True, known_ms=int(ms) + LABEL_DELAY_MS)
        for name, ms, fraud in zip(
            book.events.transaction_ids,
            book.events.event_time_ms,
            book.history.fraud,
            strict=True,
        )
        if fraud
    ]
    until_ms = round(told(scrapes[-1], JUDGED_UNTIL) * 1000)
    said = assert_equal_to_scikit_learn(
        scenario_of(scrapes, tmp_path / "promtool"),
        scrapes[-1],
        truth_of(scores_on(shipped), labels, until_ms=until_ms, maturity=maturity),
        version=read_bundle(ROOT / "models").version,
    )
    with capsys.disabled():
        print(f"\n{said}")
    assert told(scrapes[-1], "truth_scores_total", outcome="late") == 0
    assert worker.end() == truth.end() == ExitCode.OK


def send(stream: StagedStream, book: Handbook) -> None:
    """Write all payments and all labels before anybody reads them."""
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": stream.kafka.bootstrap_servers,
            "partitioner": "murmur2_random",
            "linger.ms": 50,
            "queue.buffering.max.messages": 2_000_000,
        }
    )
    schema, events = book.spec.schema, book.events
    keys = events.columns[schema.keys[0]]
    for key, value in zip(keys, encode_events(events, schema), strict=True):
        producer.produce(stream.transactions, value, str(key))
        producer.poll(0)
    for value in label_values(book):
        producer.produce(stream.labels, value, "any")
    assert producer.flush(60) == 0


def label_values(book: Handbook) -> list[bytes]:
    """Return the labels of the frauds as JSON, in the order in which they are known."""
    frauds = book.events.take(np.flatnonzero(book.history.fraud))
    key = book.spec.entities[1].key
    columns = {
        key: frauds.columns[key],
        FRAUD: np.ones(len(frauds), np.int64),
        LABEL_TIME: frauds.event_time_ms + LABEL_DELAY_MS,
    }
    batch = EventBatch(frauds.transaction_ids, frauds.event_time_ms, columns)
    return encode_events(batch, label_schema(book.spec.schema, [key]))


def greatest_delay_ms(stream: StagedStream) -> int:
    """Return by how much event time a score stands behind a younger one."""
    values: dict[int | None, list[bytes | None]] = {}
    for message in read_back(stream.clients, stream.scores):
        values.setdefault(message.partition(), []).append(message.value())
    delays = (
        np.maximum.accumulate(times) - times
        for times in (read_scores(of_one).event_time_ms for of_one in values.values())
    )
    return max(int(of_one.max()) for of_one in delays)


def answers(
    stream: StagedStream, book: Handbook
) -> tuple[NDArray[np.uint64], NDArray[np.float64], set[str]]:
    """Return digests and scores in the order of the events, and all flags there are."""
    row_of = {text: row for row, text in enumerate(book.events.transaction_ids)}
    digests = np.zeros(len(row_of), np.uint64)
    scores = np.full(len(row_of), np.nan)
    flags: set[str] = set()
    for message in read_back(stream.clients, stream.scores):
        value = json.loads(message.value() or b"")
        row = row_of[value["transaction_id"]]
        digests[row] = parse_origin(_headers(message)["origin"]).digest
        scores[row] = value["score"]
        flags.update(value.get("flags", ()))
    return digests, scores, flags
