"""Another schema, from nothing to audited scores: cards, categories, coordinates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest

from tests.live import MakeStream, Stream
from tests.reading_back import read_back
from training.cli import main
from worker.errors import ExitCode

#: How many of the simulated payments are streamed: the last ones.
STREAMED = 4_000

#: What differs from a good payment, and is still one.
UNUSUAL: list[dict[str, Any]] = [
    {"category": "something new"},
    {"category": None},
    {"merchant_latitude": None, "merchant_longitude": None},
    {"date_of_birth": None},
    {"date_of_birth": "2090-01-01"},
]

#: What makes it none.
BROKEN: list[dict[str, Any]] = [
    {"date_of_birth": "1985-02-29"},
    {"date_of_birth": 5544},
    {"merchant_latitude": 91.0},
    {"home_longitude": 4.35171},
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with simulated cards, and models/ with one in use."""
    directory = tmp_path_factory.mktemp("cards")
    data, models = directory / "data", directory / "models"
    sizes = "--cards 300 --merchants 200 --days 45 --fraud-card-rate 0.004"
    files = [f"{data}/{name}.jsonl" for name in ("transactions", "labels")]
    history = "--spec cards --transactions {} --labels {}".format(*files)
    for line in (
        f"simulate --shape cards --out {data} --format jsonl {sizes}",
        f"fit {history} --out {models} --version cards",
        f"publish cards --models {models}",
    ):
        assert main(line.split()) == ExitCode.OK
    return directory


def write(stream: Stream, payments: list[dict[str, Any]]) -> None:
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": stream.kafka.bootstrap_servers,
            "partitioner": "murmur2_random",
        }
    )
    for payment in payments:
        value = json.dumps(payment).encode()
        producer.produce(stream.transactions, value, payment["card_id"])
    assert producer.flush(30) == 0


def test_cards_are_trained_on_scored_and_audited(
    make_stream: MakeStream, trained: Path
) -> None:
    """`verify` folds the log by the code of training, and finds the same features."""
    lines = (trained / "data" / "transactions.jsonl").read_text().splitlines()
    usual = [json.loads(line) for line in lines[-STREAMED:]]
    changed = [
        {**usual[-1], "transaction_id": f"x{number}", **change}
        for number, change in enumerate([*UNUSUAL, *BROKEN])
    ]
    stream = make_stream(partitions=2)
    stream.models = trained / "models"
    write(stream, [*usual, *changed])
    worker = stream.start()
    stream.await_answers(len(usual) + len(changed))

    said = stream.verify()

    assert f"scores {STREAMED + len(UNUSUAL)}, dead letters {len(BROKEN)}" in said
    assert "missing 0, duplicated 0, out of order 0, different 0" in said
    reasons = sorted(
        (letter["dlq.field"], letter["dlq.reason"])
        for letter in stream.dead_letter_headers()
    )
    assert reasons == [
        ("date_of_birth", "bad_time"),
        ("date_of_birth", "wrong_type"),
        ("home_longitude", "too_many_decimals"),
        ("merchant_latitude", "out_of_range"),
    ]
    assert worker.end() == ExitCode.OK


def test_flagged_cards_have_reasons_in_words(
    make_stream: MakeStream, trained: Path
) -> None:
    """The distance, in kilometres, and the category, by its name."""
    lines = (trained / "data" / "transactions.jsonl").read_text().splitlines()
    stream = make_stream(partitions=1, FRAUD_THRESHOLD="0.0005")
    stream.models = trained / "models"
    write(stream, [json.loads(line) for line in lines[-STREAMED:]])
    stream.start()
    stream.await_answers(STREAMED)

    scores = [
        json.loads(message.value() or b"")
        for message in read_back(stream.clients, stream.scores)
    ]

    told = "\n".join(
        str(reason) for score in scores for reason in score.get("reasons", [])
    )
    assert "distance from home in km" in told
    assert "electronics" in told


def test_the_other_commands_take_the_learnt_vocabulary(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Features by a bundle's spec, weeks by their own, and a bundle against itself."""
    data, model = trained / "data", trained / "models" / "cards"
    transactions = f"--transactions {data}/transactions.jsonl"
    learnt = f"--spec {model}/transform.toml {transactions} --out {trained}/X.parquet"
    history = f"--spec cards {transactions} --labels {data}/labels.jsonl"

    for line, printed in (
        (f"featurize {learnt}", "X.parquet"),
        (f"featurize --spec cards {transactions} --out {trained}/Y.parquet", "Y.par"),
        (f"evaluate {history} --weeks 2", "standard deviation"),
        (f"compare {model} {model} {transactions}", "equivalent"),
    ):
        assert main(line.split()) == ExitCode.OK
        said = capsys.readouterr()
        assert printed in said.out
        is_learnt_here = "category: vocabulary learnt from all rows" in said.err
        assert is_learnt_here == (printed == "Y.par")
