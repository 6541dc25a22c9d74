"""Reads ranges of topics as a read_committed reader, outside of any group.

Owns where a range ends: at the position that the broker reports, never at a record,
because control markers take offsets and leave gaps.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self, cast

from confluent_kafka import Consumer, KafkaError, Message
from confluent_kafka import TopicPartition as VendorPartition

from worker.errors import BrokerFailed, StateUnusable
from worker.kafka.config import ClientSettings, outsider_properties
from worker.kafka.faults import Notice, notice_of
from worker.records import Header, RecordBatch, TopicPartition

#: Records of one batch; large enough that the per-batch cost disappears.
BATCH_RECORDS = 8192

#: Longest wait for a full batch, seconds: what the last, smaller one costs.
_POLL_SECONDS = 0.02

#: How long the broker may say nothing at all, neither a record nor that there is none,
#: and how long a hidden tail of a span is waited for; seconds.
PATIENCE_SECONDS = 30.0

#: How far back the search for the last record of a partition starts, offsets.
_FIRST_STEP = 16


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets [start, end) of one partition; not every offset holds a record."""

    place: TopicPartition
    start: int
    end: int


@dataclass(slots=True)
class ReadBatch:
    """Records of one partition, with their headers: one list for each record."""

    records: RecordBatch = field(default_factory=RecordBatch)
    headers: list[list[Header]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.records)


class SpanRead:
    """A read in progress: iterate over it for its batches.

    `next_offset` is where it stands. It ends at the span's end; below it only when
    what follows stayed hidden for as long as the caller was ready to wait.
    """

    def __init__(
        self,
        consumer: Consumer,
        span: Span,
        *,
        max_records: int,
        with_headers: bool,
        answer_seconds: float,
        patience_seconds: float,
    ):
        self.span = span
        self.next_offset = span.start
        self._consumer = consumer
        self._max_records = max_records
        self._with_headers = with_headers
        self._answer_seconds = answer_seconds
        self._patience_seconds = patience_seconds
        self._is_at_end = False

    @property
    def is_complete(self) -> bool:
        """True when everything in the span has been seen."""
        return self.next_offset >= self.span.end

    def __iter__(self) -> Iterator[ReadBatch]:
        if self.is_complete:
            return
        place = VendorPartition(*self.span.place, self.span.start)
        self._consumer.assign([place])
        heard = time.monotonic()
        while not self.is_complete:
            batch = self._poll()
            if len(batch):
                heard = time.monotonic()
                yield batch
            elif self._is_out_of_patience(time.monotonic() - heard):
                break
        self._consumer.unassign()

    def _poll(self) -> ReadBatch:
        messages = self._consumer.consume(self._max_records, _POLL_SECONDS)
        if any(map(Message.error, messages)):
            messages = [message for message in messages if self._is_record(message)]
        offsets = [
            offset for offset in map(Message.offset, messages) if offset is not None
        ]
        kept = bisect_left(offsets, self.span.end)
        if offsets:
            self._is_at_end = False
            self.next_offset = max(self.next_offset, offsets[-1] + 1)
        return _to_batch(
            messages[:kept],
            offsets[:kept],
            self.span.place,
            with_headers=self._with_headers,
        )

    def _is_record(self, message: Message) -> bool:
        """Take note of what came in place of a record."""
        error = message.error()
        if error is None:
            return True
        notice = notice_of(error)
        if notice is Notice.END:
            self._is_at_end = True
            self.next_offset = max(self.next_offset, message.offset() or 0)
        elif notice is not Notice.PASSING:
            raise _fault(error, notice, self)
        return False

    def _is_out_of_patience(self, seconds: float) -> bool:
        """True before a hidden tail; raises when the broker said nothing at all."""
        if self._is_at_end:
            return seconds > self._patience_seconds
        if seconds > self._answer_seconds:
            raise BrokerFailed(
                f"no answer from the broker for {self._answer_seconds:g} s while "
                f"reading {_name(self.span)} at offset {self.next_offset}"
            )
        return False


class LogReader:
    """Reads one span at a time; use it as a context manager.

    Parameters
    ----------
    settings
        Which cluster. The group in it is never joined.
    answer_seconds
        How long the broker may say nothing at all.
    """

    def __init__(
        self, settings: ClientSettings, *, answer_seconds: float = PATIENCE_SECONDS
    ):
        self._answer_seconds = answer_seconds
        self._consumer = Consumer(
            {
                **outsider_properties(settings),
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
                "queued.min.messages": 50_000,
                "queued.max.messages.kbytes": 32_768,
                # The default of a second starves a reader whose queue was full.
                "fetch.queue.backoff.ms": 5,
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the broker; reads in progress end."""
        self._consumer.close()

    def read(
        self,
        span: Span,
        *,
        max_records: int = BATCH_RECORDS,
        with_headers: bool = False,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> SpanRead:
        """Read a span from its start; ends whatever read was in progress.

        Parameters
        ----------
        patience_seconds
            How long to wait for a record that a reader may see. A commit left open by
            a producer that died hides everything behind it until the broker aborts it.
        """
        return SpanRead(
            self._consumer,
            span,
            max_records=max_records,
            with_headers=with_headers,
            answer_seconds=self._answer_seconds,
            patience_seconds=patience_seconds,
        )

    def last_record_end(self, span: Span) -> int:
        """Return the offset after the last record of the span; its start without any.

        A group that consumed all of a partition may have committed this offset or any
        later one: markers that end a commit stand behind the records.
        """
        step = _FIRST_STEP
        while True:
            start = max(span.start, span.end - step)
            read = self.read(replace(span, start=start))
            ends = [batch.records.offsets[-1] + 1 for batch in read]
            if ends or start == span.start:
                return ends[-1] if ends else span.start
            step *= 8

    def removed_until(self, span: Span) -> int | None:
        """Return the timestamp of the first record kept, None if none was removed.

        The present where none is left. Asking the broker for it gives no answer where
        a client has deleted records (seen on Kafka 4.1).
        """
        if span.start == 0:
            return None
        first = next(iter(self.read(span, max_records=1)), None)
        now_ms = int(time.time() * 1000)
        return now_ms if first is None else first.records.timestamps_ms[0]


def removed_until(
    settings: ClientSettings, place: TopicPartition, start: int, end: int
) -> int | None:
    """Return the timestamp of a partition's first record, by a reader made for that."""
    with LogReader(settings) as reader:
        return reader.removed_until(Span(place, start, end))


def _to_batch(
    messages: Sequence[Message],
    offsets: list[int],
    place: TopicPartition,
    *,
    with_headers: bool,
) -> ReadBatch:
    records = RecordBatch(
        topics=[place.topic] * len(messages),
        partitions=[place.partition] * len(messages),
        offsets=offsets,
        timestamps_ms=[ms for _, ms in map(Message.timestamp, messages)],
        keys=list(map(Message.key, messages)),
        values=list(map(Message.value, messages)),
    )
    if not with_headers:
        return ReadBatch(records)
    # The vendor declares also what may be given to a producer; a reader gets lists.
    headers = cast("list[list[Header]]", [m.headers() or [] for m in messages])
    return ReadBatch(records, headers)


def _fault(
    error: KafkaError, notice: Notice, read: SpanRead
) -> StateUnusable | BrokerFailed:
    where = f"{_name(read.span)} at offset {read.next_offset}"
    if notice is Notice.UNFETCHABLE:
        return StateUnusable(
            f"{where} cannot be read: {error.str()}. Where the topic's retention has "
            "removed records meanwhile, start again, or keep them for longer"
        )
    return BrokerFailed(f"reading {where} failed: {error.str()}")


def _name(span: Span) -> str:
    return f"{span.place.topic}/{span.place.partition}"
