"""Sends records at scheduled times, whatever becomes of them: an open loop.

    python -m tests.benchmarks.load \\
        SERVERS MESSAGES FIRST LAST RATE START INPUTS [at-once]

MESSAGES holds a line `number of the input<TAB>key<TAB>value` for each record; INPUTS
are the names of the topics, by that number, with commas between them. A rate of 0 sends
as fast as the broker takes them. START is in seconds since 1970; record i is due at
START + (i - FIRST) / RATE. With at-once all become visible together, at the end. Prints
how late it was itself, which is part of every latency that is measured.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
from confluent_kafka import Producer

#: What waits here is part of the latency that is measured.
LINGER_MS = 5

_STEP_SECONDS = 0.001

Record = tuple[str, bytes, bytes]


def main(arguments: list[str]) -> None:
    """Send, and return when all is acknowledged."""
    servers, messages = arguments[0], Path(arguments[1])
    first, last = int(arguments[2]), int(arguments[3])
    rate, start = float(arguments[4]), float(arguments[5])
    records = _read(messages, first, last, arguments[6].split(","))
    is_at_once = arguments[7:] == ["at-once"]
    producer = Producer(_settings(servers, is_at_once=is_at_once))
    producer.list_topics(records[0][0], 10)
    gc.collect()
    gc.freeze()
    gc.disable()
    if is_at_once:
        producer.init_transactions(30)
        producer.begin_transaction()
    late_ms = _send(producer, records, rate, start)
    producer.flush()
    if is_at_once:
        producer.commit_transaction(60)
    print(json.dumps({"late_milliseconds_p99": late_ms}))


def _settings(servers: str, *, is_at_once: bool) -> dict[str, str | int | float | bool]:
    settings: dict[str, str | int | float | bool] = {
        "bootstrap.servers": servers,
        "linger.ms": LINGER_MS,
        "partitioner": "murmur2_random",
        "queue.buffering.max.messages": 4_000_000,
        "queue.buffering.max.kbytes": 2_000_000,
    }
    if is_at_once:
        settings["transactional.id"] = "benchmark"
        settings["transaction.timeout.ms"] = 300_000
    return settings


def _read(messages: Path, first: int, last: int, inputs: list[str]) -> list[Record]:
    with messages.open("rb") as file:
        parts = (line.rstrip(b"\n").split(b"\t", 2) for line in file)
        return [
            (inputs[int(number)], key, value)
            for number, key, value in islice(parts, first, last)
        ]


def _send(
    producer: Producer, records: list[Record], rate: float, start: float
) -> float:
    """Hand all to the client when they are due; return how late, ms, 99 of 100."""
    produce, sent, late = producer.produce, 0, [0.0]
    while sent < len(records):
        due = len(records)
        if rate:
            now = time.time()
            due = max(sent, min(due, int((now - start) * rate) + 1))
            if due > sent:
                late.append(now - start - sent / rate)
        for topic, key, value in records[sent:due]:
            produce(topic, value, key)
        sent = due
        producer.poll(0)
        if sent < len(records):
            time.sleep(_STEP_SECONDS)
    return float(np.percentile(late, 99)) * 1000


if __name__ == "__main__":
    main(sys.argv[1:])
