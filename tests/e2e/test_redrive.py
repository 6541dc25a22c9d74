"""Dead letters go back once, and what they say is counted once."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import confluent_kafka

from tests.live import MakeStream, Stream
from tests.marks import marked_payment
from worker.errors import ExitCode

#: A payment of 2018 cannot have been recorded in 2001.
LONG_AGO_MS = 1_000_000_000_000
EVENT_MS = 1_532_476_831_000


def write(stream: Stream, numbers: range, *, timestamp_ms: int) -> None:
    """Write payments, recorded at that time."""
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": stream.kafka.bootstrap_servers}
    )
    chance = random.Random(1)
    for number in numbers:
        payment = marked_payment(chance, number, EVENT_MS + 1000 * number)
        producer.produce(
            stream.transactions,
            json.dumps(payment).encode(),
            payment["customer_id"],
            0,
            timestamp=timestamp_ms,
        )
    producer.flush()


def redrive(stream: Stream, *arguments: str) -> str:
    """Run the command to its end."""
    start = "import sys; from worker.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", start, "redrive", *arguments],
        env=stream.env("redrive"),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == ExitCode.OK, done.stderr
    return done.stdout


def test_each_dead_letter_is_sent_back_once(make_stream: MakeStream) -> None:
    stream = make_stream(partitions=1)
    write(stream, range(20), timestamp_ms=EVENT_MS + 60_000)
    write(stream, range(20, 25), timestamp_ms=LONG_AGO_MS)
    worker = stream.start()
    stream.await_answers(25)

    assert "would be sent 5" in redrive(stream, "--dry-run")
    assert "sent 0" in redrive(stream, "--reason", "not_json")
    assert "sent 5" in redrive(stream)
    stream.await_answers(30)
    assert "sent 0" in redrive(stream)

    said = stream.verify()
    assert "scores 25, dead letters 5" in said
    assert "missing 0, duplicated 0, out of order 0, different 0" in said
    assert worker.end() == ExitCode.OK
