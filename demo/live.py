"""Plays files of payments and labels into topics: live traffic, some of it broken.

    python -m demo.live --bootstrap-servers S --payments F --labels G --rate 500

Labels are sent between the payments, when the time of these has reached theirs. An open
loop: each record is due at a time that nothing delays, and carries it as its
timestamp, so that whoever measures from there also measures what waited to be sent.
"""

from __future__ import annotations

import argparse
import heapq
import random
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import orjson
from confluent_kafka import KafkaError, Message, Producer

from demo.broken import Keyed, payment, spoil

#: Java's partitioner, as most producers of a company use it; no key: any partition.
_PARTITIONER = "murmur2_random"

#: Longest sleep, seconds: a signal is noticed in between.
_NAP_SECONDS = 0.05

#: How long the broker may take to confirm the last records, seconds.
_FLUSH_SECONDS = 30


#: Fields of payments and labels: when one happened, and when one became known.
EVENT_TIME, LABEL_TIME = "event_time", "label_time"


class Sending(NamedTuple):
    """A record to be sent, and whether it is a label."""

    record: Keyed
    is_label: bool = False


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of the traffic is not as it should be; both from 0 to 1."""

    broken: float = 0.0
    repeated: float = 0.0


def records(
    payments: Iterable[bytes],
    labels: Iterable[bytes],
    shares: Shares,
    dice: random.Random,
) -> Iterator[Sending]:
    """Yield a record for each payment: as it is, spoilt, or sent twice; and labels.

    A label comes before the first payment that may know of it. Its key is that of its
    payment, so that both are in the care of one worker.
    """
    known = ((_text(line, LABEL_TIME), True, line) for line in labels)
    paid = ((_text(line, EVENT_TIME), False, line) for line in payments)
    for _, is_label, line in heapq.merge(known, paid, key=itemgetter(0)):
        good = payment(line.rstrip(b"\n"))
        if is_label:
            yield Sending(good.record, is_label=True)
        elif dice.random() < shares.broken:
            yield Sending(spoil(good, dice))
        else:
            yield Sending(good.record)
            if dice.random() < shares.repeated:
                yield Sending(good.record)


def _text(line: bytes, field: str) -> str:
    text: str = orjson.loads(line)[field]
    return text


class Player:
    """Sends records when they are due.

    Parameters
    ----------
    labels_topic
        None where nobody asks for labels: then none may be sent.

    Attributes
    ----------
    sent, labels
        Payments and labels given to the client.
    lost
        Records of which the broker did not confirm that it has them.
    """

    def __init__(self, servers: str, topic: str, labels_topic: str | None = None):
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
        self._labels_topic = labels_topic
        self._is_stopped = False
        self.sent = self.labels = self.lost = 0

    def stop(self) -> None:
        """Send no more; what was sent is still confirmed."""
        self._is_stopped = True

    def play(self, traffic: Iterable[Sending], *, rate: float, seconds: float) -> None:
        """Send payments, `rate` of them a second; 0: as fast as the broker takes them.

        A label goes with the payment after it. Ends after so many seconds (0: never),
        with the traffic, or when stopped.
        """
        self._connect()
        gap = 1 / rate if rate else 0.0
        start = time.time()
        for sending in traffic:
            due = start + self.sent * gap if rate else time.time()
            if self._await(due) or (seconds and due - start >= seconds):
                break
            self._send(sending, due)
        self.lost += self._producer.flush(_FLUSH_SECONDS)

    def _connect(self) -> None:
        """Find the topics' partitions, so that the first record need not wait."""
        for topic in filter(None, (self._topic, self._labels_topic)):
            self._producer.list_topics(topic, timeout=_FLUSH_SECONDS)

    def _await(self, due: float) -> bool:
        """Sleep until then; True when stopped meanwhile."""
        while (left := due - time.time()) > 0 and not self._is_stopped:
            time.sleep(min(left, _NAP_SECONDS))
        return self._is_stopped

    def _send(self, sending: Sending, due: float) -> None:
        topic = self._labels_topic if sending.is_label else self._topic
        assert topic is not None, "labels have a topic"
        (key, value), timestamp_ms = sending.record, int(due * 1000)
        while True:
            try:
                self._producer.produce(topic, value, key, timestamp=timestamp_ms)
            except BufferError:
                self._producer.poll(_NAP_SECONDS)
            else:
                self.labels += sending.is_label
                self.sent += not sending.is_label
                self._producer.poll(0)
                return

    def _on_failure(self, error: KafkaError | None, _: Message) -> None:
        self.lost += error is not None


def main(argv: Sequence[str] | None = None) -> int:
    """Play files; 1 when the broker did not confirm every record."""
    arguments = _parser().parse_args(argv)
    has_labels = arguments.labels is not None
    topic, labels_topic = arguments.topic, arguments.labels_topic
    player = Player(
        arguments.bootstrap_servers, topic, labels_topic if has_labels else None
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: player.stop())
    with ExitStack() as files:
        payments, labels = (
            files.enter_context(path.open("rb")) if path else ()
            for path in (arguments.payments, arguments.labels)
        )
        traffic = records(
            payments,
            labels,
            Shares(arguments.broken, arguments.repeated),
            random.Random(arguments.seed),
        )
        player.play(traffic, rate=arguments.rate, seconds=arguments.seconds)
    sent = f"sent {player.sent:,} records and {player.labels:,} labels"
    print(f"{sent}, {player.lost:,} of them lost", flush=True)
    return 1 if player.lost else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo.live",
        description="Play payments and labels (JSON lines) into topics.",
        epilog="example: python -m demo.live --bootstrap-servers localhost:9092 "
        "--payments transactions.jsonl --rate 500 --seconds 60 --broken 0.01",
    )
    add = parser.add_argument
    add("--bootstrap-servers", required=True, metavar="SERVERS")
    add("--payments", required=True, type=Path, metavar="FILE")
    add("--labels", type=Path, metavar="FILE", help="sent in between (default: none)")
    add("--topic", default="transactions")
    add("--labels-topic", default="labels")
    add(
        "--rate", type=float, default=0, help="payments a second (default: all at once)"
    )
    add("--seconds", type=float, default=0, help="then stop (default: at the end)")
    add("--broken", type=float, default=0, metavar="SHARE", help="records to spoil")
    add("--repeated", type=float, default=0, metavar="SHARE", help="sent twice")
    add("--seed", type=int, default=0, help="of what is spoilt, and how")
    return parser


if __name__ == "__main__":
    sys.exit(main())
