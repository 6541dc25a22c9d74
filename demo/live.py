"""Plays a file of payments into a topic: live traffic, some of it broken.

    python -m demo.live --bootstrap-servers S --payments F --rate 500 --seconds 60

An open loop: each record is due at a time that nothing delays, and carries it as its
timestamp, so that whoever measures from there also measures what waited to be sent.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaError, Message, Producer

from demo.broken import Keyed, payment, spoil

#: Java's partitioner, as most producers of a company use it; no key: any partition.
_PARTITIONER = "murmur2_random"

#: Longest sleep, seconds: a signal is noticed in between.
_NAP_SECONDS = 0.05

#: How long the broker may take to confirm the last records, seconds.
_FLUSH_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of the traffic is not as it should be; both from 0 to 1."""

    broken: float = 0.0
    repeated: float = 0.0


def records(
    lines: Iterable[bytes], shares: Shares, dice: random.Random
) -> Iterator[Keyed]:
    """Yield a record for each payment: as it is, spoilt, or sent twice."""
    for line in lines:
        good = payment(line.rstrip(b"\n"))
        if dice.random() < shares.broken:
            yield spoil(good, dice)
            continue
        yield good.record
        if dice.random() < shares.repeated:
            yield good.record


class Player:
    """Sends records to a topic when they are due.

    Attributes
    ----------
    sent
        Records given to the client.
    lost
        Records of which the broker did not confirm that it has them.
    """

    def __init__(self, servers: str, topic: str):
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "linger.ms": 1,
                "compression.type": "lz4",
                # No retry overtakes what follows. An idempotent client would do the
                # same, and keep the first records waiting for a second.
                "acks": "all",
                "max.in.flight.requests.per.connection": 1,
                "partitioner": _PARTITIONER,
                "delivery.report.only.error": True,
                "on_delivery": self._on_failure,
                "log_level": 3,
            }
        )
        self._topic = topic
        self._is_stopped = False
        self.sent = self.lost = 0

    def stop(self) -> None:
        """Send no more; what was sent is still confirmed."""
        self._is_stopped = True

    def play(self, traffic: Iterable[Keyed], *, rate: float, seconds: float) -> None:
        """Send records, `rate` of them a second; 0: as fast as the broker takes them.

        Ends after so many seconds (0: never), with the traffic, or when stopped.
        """
        self._connect()
        gap = 1 / rate if rate else 0.0
        start = time.time()
        for number, record in enumerate(traffic):
            due = start + number * gap if rate else time.time()
            if self._await(due) or (seconds and due - start >= seconds):
                break
            self._send(record, due)
        self.lost += self._producer.flush(_FLUSH_SECONDS)

    def _connect(self) -> None:
        """Find the topic's partitions, so that the first record need not wait."""
        self._producer.list_topics(self._topic, timeout=_FLUSH_SECONDS)

    def _await(self, due: float) -> bool:
        """Sleep until then; True when stopped meanwhile."""
        while (left := due - time.time()) > 0 and not self._is_stopped:
            time.sleep(min(left, _NAP_SECONDS))
        return self._is_stopped

    def _send(self, record: Keyed, due: float) -> None:
        timestamp_ms = int(due * 1000)
        while True:
            try:
                self._producer.produce(
                    self._topic, record.value, record.key, timestamp=timestamp_ms
                )
            except BufferError:
                self._producer.poll(_NAP_SECONDS)
            else:
                self.sent += 1
                self._producer.poll(0)
                return

    def _on_failure(self, error: KafkaError | None, _: Message) -> None:
        self.lost += error is not None


def main(argv: Sequence[str] | None = None) -> int:
    """Play a file; 1 when the broker did not confirm every record."""
    arguments = _parser().parse_args(argv)
    player = Player(arguments.bootstrap_servers, arguments.topic)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: player.stop())
    with arguments.payments.open("rb") as lines:
        traffic = records(
            lines,
            Shares(arguments.broken, arguments.repeated),
            random.Random(arguments.seed),
        )
        player.play(traffic, rate=arguments.rate, seconds=arguments.seconds)
    print(f"sent {player.sent:,} records, {player.lost:,} of them lost", flush=True)
    return 1 if player.lost else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo.live",
        description="Play a file of payments (JSON lines) into a topic.",
        epilog="example: python -m demo.live --bootstrap-servers localhost:9092 "
        "--payments transactions.jsonl --rate 500 --seconds 60 --broken 0.01",
    )
    add = parser.add_argument
    add("--bootstrap-servers", required=True, metavar="SERVERS")
    add("--payments", required=True, type=Path, metavar="FILE")
    add("--topic", default="transactions")
    add("--rate", type=float, default=0, help="records a second (default: all at once)")
    add("--seconds", type=float, default=0, help="then stop (default: at the end)")
    add("--broken", type=float, default=0, metavar="SHARE", help="records to spoil")
    add("--repeated", type=float, default=0, metavar="SHARE", help="sent twice")
    add("--seed", type=int, default=0, help="of what is spoilt, and how")
    return parser


if __name__ == "__main__":
    sys.exit(main())
