"""Payments of three fields, a model for them, and two producers that can change."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from confluent_kafka import Producer

from training.cli import main as fraud_train

SPEC = """
format = 1
name = "observed"
allowed_lateness = "1h"
max_ahead = "5m"
time_zone = "UTC"
[event]
transaction_id = "transaction_id"
event_time = "event_time"
[[entity]]
name = "customer"
key = "customer_id"
[[field]]
name = "transaction_id"
type = "text"
[[field]]
name = "event_time"
type = "time"
[[field]]
name = "customer_id"
type = "text"
[[field]]
name = "amount"
type = "decimal"
decimals = 2
minimum = 0
maximum = 1_000_000
[[field]]
name = "basket"
type = "integer"
required = false
[[field]]
name = "age"
type = "integer"
[[feature]]
name = "amount"
field = "amount"
[[feature]]
name = "basket"
field = "basket"
[[feature]]
name = "age"
field = "age"
"""

#: 2018-04-01.
_FIRST_MS = 1_522_540_800_000
_DAYS, _ROWS = 24, 72_000
_DAY_MS = 86_400_000

#: How much faster event time passes than the time of operation, so that payments are
#: old enough to be judged; where it begins, and when a fraud becomes known in it.
_PACE = 4
_BEGIN_BEFORE_MS = 20 * 3_600_000
_KNOWN_AFTER_MS = 10 * 60_000

#: One record in so many is none, so that there are dead letters to be shown.
_BROKEN = 2_500


def fraud_probability(age: Any) -> Any:
    """Return how probable it is that payments are frauds."""
    return np.exp(-(age - 10) / 6)


def publish_model(directory: Path) -> Path:
    """Fit a model that looks at the age alone, and put it in use; return models/."""
    chance = np.random.default_rng(1)
    age = chance.integers(18, 80, _ROWS)
    times = np.sort(chance.integers(0, _DAYS * _DAY_MS, _ROWS)) + _FIRST_MS
    table = pa.table(
        {
            "transaction_id": [str(i) for i in range(_ROWS)],
            "event_time": pa.array(times, pa.timestamp("ms", "UTC")),
            "customer_id": [f"c{i}" for i in chance.integers(0, 2_000, _ROWS)],
            "amount": np.round(chance.gamma(2.0, 30.0, _ROWS), 2),
            "basket": chance.integers(1, 20, _ROWS),
            "age": age,
            "fraud": chance.random(_ROWS) < fraud_probability(age),
        }
    )
    data, spec = directory / "history.parquet", directory / "observed.toml"
    pyarrow.parquet.write_table(table, data)
    spec.write_text(SPEC)
    models = directory / "models"
    files = f"--spec {spec} --transactions {data} --labels {data} --out {models}"
    plan = "--model logistic --train-days 7 --alert-budget 60 --version observed"
    for command in (f"fit {files} {plan}", f"publish observed --models {models}"):
        assert fraud_train(command.split()) == 0, command
    return models


class EventClock:
    """Tells the event time of a payment that is made now, ms."""

    def __init__(self, factor: int):
        self._pace = _PACE * factor
        self._began_s = time.time()

    def now_ms(self) -> int:
        """Return the time; never ahead of the clock on the wall within an hour."""
        passed_ms = 1000 * (time.time() - self._began_s) * self._pace
        return int(1000 * self._began_s - _BEGIN_BEFORE_MS + passed_ms)


@dataclass
class Producing:
    """One of the producers: a thread that sends payments as they come up, and labels.

    Attributes
    ----------
    labels
        The topic of the labels: of frauds, some time after them.
    shift
        How many times larger the amounts are.
    drops_basket
        Whether the field is left out.
    is_silent
        Whether nothing is sent.
    """

    servers: str
    topic: str
    labels: str
    clock: EventClock
    seed: int
    rate: int
    shift: float = 1.0
    drops_basket: bool = False
    is_silent: bool = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send while the block runs."""
        end = threading.Event()
        thread = threading.Thread(target=self._send, args=(end,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    def _send(self, end: threading.Event) -> None:
        chance = random.Random(self.seed)
        settings = {"bootstrap.servers": self.servers, "partitioner": "murmur2_random"}
        producer = Producer({**settings, "linger.ms": 5})
        number, due = 0, time.monotonic()
        frauds: deque[dict[str, Any]] = deque()
        while not end.is_set():
            due = max(due + 1 / self.rate, time.monotonic() - 1)
            end.wait(max(0.0, due - time.monotonic()))
            if self.is_silent:
                continue
            number += 1
            payment = self._payment(chance, number)
            value = b"{" if number % _BROKEN == 0 else json.dumps(payment).encode()
            producer.produce(self.topic, value, payment["customer_id"].encode())
            if chance.random() < fraud_probability(payment["age"]):
                frauds.append(payment)
            while frauds and (label := self._label(frauds[0])):
                producer.produce(self.labels, label, frauds.popleft()["transaction_id"])
            producer.poll(0)
        producer.flush()

    def _label(self, payment: dict[str, Any]) -> bytes | None:
        """Return the label of a fraud; None while nobody knows of it."""
        known_ms = payment["event_time"] + _KNOWN_AFTER_MS
        if known_ms > self.clock.now_ms():
            return None
        said = {name: payment[name] for name in ("transaction_id", "event_time")}
        return json.dumps({**said, "fraud": True, "label_time": known_ms}).encode()

    def _payment(self, chance: random.Random, number: int) -> dict[str, Any]:
        payment = {
            "transaction_id": f"{self.seed}-{number}",
            "event_time": self.clock.now_ms(),
            "customer_id": f"c{chance.randrange(2_000)}",
            "amount": round(self.shift * chance.gammavariate(2.0, 30.0), 2),
            "basket": chance.randrange(1, 20),
            "age": chance.randrange(18, 80),
        }
        if self.drops_basket:
            del payment["basket"]
        return payment
