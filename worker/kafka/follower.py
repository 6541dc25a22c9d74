"""Follows whole topics from given offsets, as a read_committed reader in no group."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, Message
from confluent_kafka import TopicPartition as VendorPartition

from worker.kafka.config import ClientSettings, outsider_properties
from worker.kafka.faults import Notice, fatal_for, notice_of
from worker.kafka.reading import place_of, where
from worker.kafka.refusals import Refusals
from worker.records import RecordBatch, TopicPartition

_LOG = logging.getLogger(__name__)


class Follower:
    """Reads some partitions side by side, on and on; use it as a context manager.

    Parameters
    ----------
    starts
        The partitions, and the offset at which each begins.

    Attributes
    ----------
    positions
        Up to where each partition has been read: no record lies before it that has not
        been returned. Moves past the markers of commits once the end is known.
    """

    def __init__(self, settings: ClientSettings, starts: Mapping[TopicPartition, int]):
        self.positions = dict(starts)
        self._ended: set[TopicPartition] = set()
        self._refusals = Refusals(sorted({place.topic for place in starts}))
        self._vendor = Consumer(
            {
                **outsider_properties(settings),
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
                "queued.min.messages": 20_000,
                "queued.max.messages.kbytes": 32_768,
                "fetch.queue.backoff.ms": 10,
            }
        )
        self._vendor.assign([VendorPartition(*p, at) for p, at in starts.items()])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._vendor.close()

    @property
    def unread(self) -> set[TopicPartition]:
        """The partitions that have not been read to their ends."""
        return set(self.positions) - self._ended

    def ends_are(self, ends: Mapping[TopicPartition, int]) -> None:
        """Note where partitions end by now: what the last poll met may have moved."""
        for place, end in ends.items():
            if end > self.positions[place]:
                self._ended.discard(place)

    def poll(
        self, max_records: int, timeout_seconds: float
    ) -> dict[TopicPartition, RecordBatch]:
        """Return what is there by partition, waiting at most as long as given.

        Raises
        ------
        StateUnusable
            An offset cannot be read, or a topic is gone.
        BrokerFailed
            The broker refuses, or the client failed in an unknown way.
        """
        found: dict[TopicPartition, list[Message]] = defaultdict(list)
        for message in self._vendor.consume(max_records, timeout_seconds):
            if self._is_record(message):
                found[place_of(message)].append(message)
        self._refusals.check()
        return {place: self._columns(place, of) for place, of in found.items()}

    def _columns(self, place: TopicPartition, messages: list[Message]) -> RecordBatch:
        batch = RecordBatch(
            topics=[place.topic] * len(messages),
            partitions=[place.partition] * len(messages),
            offsets=[offset for m in messages if (offset := m.offset()) is not None],
            timestamps_ms=[ms for _, ms in map(Message.timestamp, messages)],
            keys=list(map(Message.key, messages)),
            values=list(map(Message.value, messages)),
        )
        self.positions[place] = max(self.positions[place], batch.offsets[-1] + 1)
        return batch

    def _is_record(self, message: Message) -> bool:
        """Take note of what came in place of a record."""
        error = message.error()
        if error is None:
            self._ended.discard(place_of(message))
            return True
        notice = notice_of(error)
        if notice is Notice.END:
            place = place_of(message)
            self._ended.add(place)
            self.positions[place] = max(self.positions[place], message.offset() or 0)
            self._refusals.forget()
        elif notice is Notice.PASSING:
            _LOG.warning("broker_trouble", extra={"error": error.name()})
        elif notice is Notice.REFUSED:
            _LOG.warning("broker_refuses", extra={"error": error.name()})
            self._refusals.note()
        else:
            raise fatal_for(notice, error, where(message))
        return False
