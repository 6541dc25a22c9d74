"""Reads what went in and what came out, as any reader of committed records would.

Its partitions are assigned by hand: it joins no group and commits nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self, cast

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaException,
    Message,
    TopicPartition,
)

from demo.tally import Answer, Incoming, Place, Snapshot, Tally

TRANSACTIONS, LABELS = "transactions", "labels"
SCORES, DEAD_LETTERS = "scores", "dead-letters"

#: Longest wait for a first message, seconds, and the most that are taken at once.
_WAIT_SECONDS, _MOST_MESSAGES = 0.1, 1_000


class Reader:
    """Feeds a tally, in a thread of its own; as a context it reads inside.

    Attributes
    ----------
    failure
        What has ended it; None while it is well.
    """

    def __init__(
        self,
        tally: Tally,
        *,
        partitions: int,
        has_labels: bool,
        properties: Mapping[str, str | int | float | bool],
    ):
        self._tally = tally
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        self._partitions = partitions
        labels = [LABELS] if has_labels else []
        self._topics = (TRANSACTIONS, *labels, SCORES, DEAD_LETTERS)
        self._consumer = Consumer(
            {
                "group.id": "demo-view",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
                "fetch.queue.backoff.ms": 10,
                "log_level": 3,
                **properties,
            }
        )
        self.failure: Exception | None = None

    def snapshot(self) -> Snapshot:
        """Return what is known now."""
        with self._lock:
            return self._tally.snapshot(time.time())

    def begin_live(self) -> None:
        """Let what comes from now on be live traffic."""
        with self._lock:
            self._tally.live_from_ms = time.time() * 1000

    def has_answers_of(self, records: int) -> bool:
        """Whether so many records were read, and all of them answered."""
        with self._lock:
            return self._tally.records >= records and not self._tally.waiting

    def __enter__(self) -> Self:
        self._consumer.assign(
            [
                TopicPartition(topic, partition, OFFSET_BEGINNING)
                for topic in self._topics
                for partition in range(self._partitions)
            ]
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._take(self._read())
        except Exception as error:  # noqa: BLE001 - the main thread shows it
            self.failure = error

    def _read(self) -> list[Message]:
        """Take one message when it comes, and with it what is there already.

        A call for many messages would wait for as many, or for its time to be up.
        """
        first = self._consumer.poll(_WAIT_SECONDS)
        if first is None:
            return []
        return [first, *self._consumer.consume(_MOST_MESSAGES, 0)]

    def _take(self, messages: Iterable[Message]) -> None:
        arrived_ms = time.time() * 1000
        with self._lock:
            for message in messages:
                if error := message.error():
                    raise KafkaException(error)
                _enter(self._tally, message, arrived_ms)


def _enter(tally: Tally, message: Message, arrived_ms: float) -> None:
    """Tell the tally of a message."""
    value = message.value()
    if message.topic() == LABELS:
        tally.take_label(message.timestamp()[1])
        return
    if message.topic() == TRANSACTIONS:
        place = Place(_known(message.partition()), _known(message.offset()))
        tally.take_record(place, Incoming(message.timestamp()[1], value))
        return
    headers = _texts(message)
    reason = None
    if message.topic() == SCORES:
        _, partition, offset, _ = headers["origin"].split("/")
    else:
        partition = headers["dlq.origin.partition"]
        offset = headers["dlq.origin.offset"]
        reason = headers["dlq.reason"]
    place = Place(int(partition), int(offset))
    tally.take_answer(Answer(place, arrived_ms, value, reason))


def _texts(message: Message) -> dict[str, str]:
    """Return the headers, all of which the worker writes as text."""
    headers = cast("list[tuple[str, bytes]]", message.headers() or [])
    return {name: content.decode() for name, content in headers}


def _known(number: int | None) -> int:
    assert number is not None, "a message that was read has its place"
    return number
