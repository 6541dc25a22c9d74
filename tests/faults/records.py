"""Faults of the input: poison, a release that breaks everything, a giant."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from datetime import UTC, datetime

import confluent_kafka

from demo.broken import KINDS, Keyed, payment
from tests.faults.fault import Fault
from tests.faults.scene import RATE, Scene
from tests.faults.watch import PATIENCE_SECONDS, now_ms
from tests.live import Stream, Traffic
from tests.marks import marked_payment
from tests.waiting import wait_until
from worker.errors import ExitCode

#: What one dead letter in a row too many is, in the scene of a broken release.
_LIMIT = 100

#: The largest record that the broker takes, all of it in one batch: bytes of the value.
_GIANT_BYTES = 1_048_450


class PoisonTraffic(Traffic):
    """Payments; one in a hundred is spoiled in a way that is counted."""

    def __init__(self, stream: Stream, seed: int = 1):
        super().__init__(stream, seed)
        self.spoiled: Counter[str] = Counter()

    def _write_one(self) -> None:
        self.count += 1
        good = payment(_line(self._random, self.count))
        record = good.record
        if self._random.random() < 0.01:
            kind = self._random.choice(list(KINDS))
            record = KINDS[kind](good)
            self.spoiled[kind.partition(",")[0]] += 1
        self._produce(record)

    def write_kind(self, kind: str) -> None:
        """Write one record of that kind."""
        self.count += 1
        self.spoiled[kind.partition(",")[0]] += 1
        self._produce(KINDS[kind](payment(_line(self._random, self.count))))

    def _produce(self, record: Keyed) -> None:
        self._producer.produce(self._topic, record.value, record.key)


def _line(chance: random.Random, number: int) -> bytes:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps(marked_payment(chance, number, now)).encode()


def write_at(traffic: Traffic, moment_ms: int, count: int) -> None:
    """Write payments of one moment in the past, as if they had been sent then."""
    for _ in range(count):
        traffic.count += 1
        fields = marked_payment(traffic._random, traffic.count, moment_ms)
        value = json.dumps(fields).encode()
        traffic._producer.produce(
            traffic._topic, value, fields["customer_id"], timestamp=moment_ms
        )
    assert traffic._producer.flush(30) == 0


def poison(scene: Scene, rounds: int) -> None:
    """Every kind at least once, one in a hundred records under load."""
    traffic = scene.traffic = PoisonTraffic(scene.stream)
    scene.start()
    for kind in KINDS:
        traffic.write_kind(kind)
    with traffic.flowing(2 * RATE):
        scene.await_scores()
        began_ms = now_ms()
        wait_until(
            lambda: traffic.spoiled.total() >= rounds,
            what=f"{rounds} poisonous records",
            seconds=PATIENCE_SECONDS,
        )
        scene.await_scores()
        scene.note_silences(began_ms)
    scene.stream.await_answers(traffic.count)
    headers = scene.stream.dead_letter_headers()
    reasons = Counter(letter["dlq.reason"] for letter in headers)
    assert reasons == traffic.spoiled, (reasons, traffic.spoiled)
    scene.struck = traffic.spoiled.total()
    scene.notes.append(f"{len(reasons)} reasons, each record under the right one")


def broken_release(scene: Scene, rounds: int) -> None:
    """From one moment on, nothing is a payment any more: the worker stops with 6."""
    producer = scene.traffic._producer
    scene.traffic.write(1000)
    scene.start()
    scene.stream.await_answers(1000)
    for number in range(20_000):
        producer.produce(scene.stream.transactions, b"{", str(number % 200).encode())
    assert producer.flush(30) == 0
    (worker,) = scene.stream.workers
    while scene.struck < rounds:
        assert worker.wait(60) == ExitCode.DEAD_LETTER_LIMIT
        scene.struck += 1
        stopped_at = scene.committed()
        most = 1000 + scene.struck * scene.stream.partitions * (_LIMIT + 100)
        assert stopped_at <= most, (stopped_at, most)
        if scene.struck < rounds:
            worker = scene.start()
    scene.notes.append(
        f"each exit {int(ExitCode.DEAD_LETTER_LIMIT)}; {stopped_at} of 21000 records "
        "were committed at the last one"
    )
    scene.start(FRAUD_DEAD_LETTER_CONSECUTIVE="0", FRAUD_DEAD_LETTER_RATIO="1")


def giants(scene: Scene, rounds: int) -> None:
    """Too large to be copied: the dead letter is a pointer, and the stream goes on."""
    servers = scene.stream.kafka.bootstrap_servers
    giant = confluent_kafka.Producer(
        {"bootstrap.servers": servers, "message.max.bytes": 2_000_000}
    )
    scene.start()
    with scene.traffic.flowing(RATE):
        scene.await_scores()
        began_ms = now_ms()
        for number in range(rounds):
            value = b'{"note":"' + b"x" * (_GIANT_BYTES - 11) + b'"}'
            giant.produce(scene.stream.transactions, value, str(number).encode())
        assert giant.flush(30) == 0
        scene.await_scores()
        pointers = _await_pointers(scene, rounds)
        scene.await_scores()
        scene.note_silences(began_ms)
    sizes = {letter["dlq.payload.size"] for letter in pointers}
    assert sizes == {str(_GIANT_BYTES)}, sizes
    scene.struck = len(pointers)
    scene.notes.append(f"records of {_GIANT_BYTES} bytes; their dead letters are empty")


def _await_pointers(scene: Scene, count: int) -> list[dict[str, str]]:
    """Return the dead letters that left their value behind, once they are there."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        letters = [
            letter
            for letter in scene.stream.dead_letter_headers()
            if letter["dlq.payload.truncated"] == "true"
        ]
        if len(letters) >= count:
            return letters
        assert time.monotonic() < deadline, f"{len(letters)} pointers of {count}"


FAULTS = (
    Fault(
        name="poison",
        title="one record in a hundred is poison",
        play=poison,
        rounds=200,
        quick_rounds=50,
    ),
    Fault(
        name="release",
        title="nothing but broken records",
        play=broken_release,
        rounds=2,
        settings={
            "FRAUD_DEAD_LETTER_CONSECUTIVE": str(_LIMIT),
            "FRAUD_MAX_BATCH": "100",
        },
    ),
    Fault(
        name="giants",
        title="records of the largest size, to be rejected",
        play=giants,
        rounds=5,
        quick_rounds=2,
    ),
)
