"""Sends payments at scheduled times, whatever becomes of them: an open loop.

    python -m tests.benchmarks.load SERVERS MESSAGES FIRST LAST RATE START

A rate of 0 sends as fast as the broker takes them. START is in seconds since 1970;
payment i is due at START + (i - FIRST) / RATE.
"""

from __future__ import annotations

import gc
import sys
import time
from itertools import islice
from pathlib import Path

from confluent_kafka import Producer

TOPIC = "transactions"

#: What waits here is part of the latency that is measured.
LINGER_MS = 5

_STEP_SECONDS = 0.001


def main(arguments: list[str]) -> None:
    """Send, and return when all is acknowledged."""
    servers, messages = arguments[0], Path(arguments[1])
    first, last = int(arguments[2]), int(arguments[3])
    rate, start = float(arguments[4]), float(arguments[5])
    with messages.open("rb") as file:
        lines = [
            line.rstrip(b"\n").split(b"\t", 1) for line in islice(file, first, last)
        ]
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "linger.ms": LINGER_MS,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 2_000_000,
            "queue.buffering.max.kbytes": 1_000_000,
        }
    )
    producer.list_topics(TOPIC, 10)
    gc.collect()
    gc.freeze()
    gc.disable()
    sent = 0
    while sent < len(lines):
        due = len(lines)
        if rate:
            due = max(sent, min(due, int((time.time() - start) * rate) + 1))
        for key, value in lines[sent:due]:
            producer.produce(TOPIC, value, key)
        sent = due
        producer.poll(0)
        if sent < len(lines):
            time.sleep(_STEP_SECONDS)
    producer.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
