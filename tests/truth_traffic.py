"""Payments whose frauds are labelled seven days later, for `fraud-worker truth`."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import confluent_kafka
import numpy as np

from tests.live import LiveWorker, Stream
from tests.marks import MARK
from tests.truth_builders import BEGIN_MS, DAY_MS, Label
from worker.truth import Maturity

DAYS, PAYMENTS_A_DAY = 24, 400

#: The spec's lateness, and seven days for want of a window over labels.
MATURITY = Maturity(7 * DAY_MS, DAY_MS)


@dataclass
class Payments:
    """Payments and the labels of their frauds, written as event time goes on."""

    stream: Stream
    labels_topic: str
    labels: list[Label] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(11)
        servers = self.stream.kafka.bootstrap_servers
        self._producer = confluent_kafka.Producer(
            {"bootstrap.servers": servers, "partitioner": "murmur2_random"}
        )
        self._records = sorted(self._all(), key=lambda each: each[0])
        self.count = 0

    def write_until(self, day: int) -> None:
        """Write what is published before that day begins."""
        end_ms = BEGIN_MS + day * DAY_MS
        while self._records and self._records[0][0] < end_ms:
            _, key, record = self._records.pop(0)
            if isinstance(record, Label):
                self.labels.append(record)
                self._producer.produce(self.labels_topic, record.value, record.id)
            else:
                self.count += 1
                self._producer.produce(self.stream.transactions, record, key)
        assert self._producer.flush(30) == 0

    def _all(self) -> Iterator[tuple[int, str, bytes | Label]]:
        """Yield times of publication, keys and records: one in 50 payments repeated."""
        chance = self._random
        for number in range(DAYS * PAYMENTS_A_DAY):
            time_ms = BEGIN_MS + number * DAY_MS // PAYMENTS_A_DAY
            amount = chance.gammavariate(2, 20)
            name, customer = f"t-{MARK}-{number}", f"c-{chance.randrange(60)}"
            fields = {
                "transaction_id": name,
                "event_time": time_ms,
                "customer_id": customer,
                "terminal_id": "1",
                "amount": round(amount + 0.01, 2),
            }
            value = json.dumps(fields).encode()
            for _ in range(1 + (chance.random() < 0.02)):
                yield time_ms, customer, value
            if chance.random() < 1 / (1 + np.exp((90 - amount) / 15)):
                yield from self._labels_of(name, time_ms)

    def _labels_of(self, name: str, time_ms: int) -> Iterator[tuple[int, str, Label]]:
        """Yield a fraud's label seven days later; now and then too late, or twice."""
        chance = self._random
        days = 7 if chance.random() < 0.9 else 9
        label = Label(name, time_ms, is_fraud=True, known_ms=time_ms + days * DAY_MS)
        yield label.known_ms, "", label
        if chance.random() < 0.1:
            other = label._replace(known_ms=time_ms + 5 * DAY_MS)
            yield other.known_ms, "", other
        if chance.random() < 0.05:
            yield label.known_ms, "", label._replace(id=f"t-{MARK}-unknown")


def begin(stream: Stream, life: int) -> LiveWorker:
    truth = stream.start("truth", command="truth")
    truth.await_event("started", life)
    return truth
