"""Takes what the client has fetched: soon when little comes, in bulk when much does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from confluent_kafka import Consumer, KafkaException, Message

from worker.kafka.faults import fatal_for, notice_of
from worker.kafka.reading import to_columns
from worker.records import RecordBatch

#: Messages that become columns at once. Of many more, the first have left the
#: processor's cache when they are read: the whole loop takes a tenth longer.
SLICE_RECORDS = 1024


class Fetcher:
    """Waits for records as long as it pays, and no longer.

    Parameters
    ----------
    records_among
        Returns those of the messages that are records, and heeds the others.
    delay_seconds
        Least time from one batch to the next: records that come meanwhile share it.
    """

    def __init__(
        self,
        vendor: Consumer,
        records_among: Callable[[list[Message]], list[Message]],
        delay_seconds: float,
    ):
        self._vendor = vendor
        self._records_among = records_among
        self._delay_seconds = delay_seconds
        self._fetched_at = 0.0

    def fetch(
        self, max_records: int, timeout_seconds: float, gather_seconds: float
    ) -> RecordBatch:
        """Return what is there, waiting for a first record at most as long as given.

        Waits at least for `gather_seconds` unless so many records are there.

        Raises
        ------
        Fatal
            The client failed.
        """
        try:
            # What came while the last batch was answered has waited for company.
            due = self._fetched_at + self._delay_seconds
            gathered = time.monotonic() + gather_seconds
            slices = list(self._slices(max_records, max(due, gathered)))
            self._fetched_at = time.monotonic()
            if not slices and timeout_seconds:
                slices = list(self._after_silence(max_records, timeout_seconds))
        except KafkaException as error:
            # Whatever it was, records may have gone with it: never go on from here.
            raise fatal_for(notice_of(error.args[0]), error.args[0], "") from error
        batch = slices[0] if slices else RecordBatch()
        for each in slices[1:]:
            batch.extend(each)
        return batch

    def _after_silence(
        self, max_records: int, timeout_seconds: float
    ) -> Iterator[RecordBatch]:
        """Yield the next record and what came with it; it may well be alone."""
        first = self._vendor.poll(timeout_seconds)
        if first is not None:
            self._fetched_at = time.monotonic()
            yield to_columns(self._records_among([first]))
            yield from self._slices(max_records - 1, self._fetched_at)

    def _slices(self, max_records: int, until: float) -> Iterator[RecordBatch]:
        """Yield what comes until then, in slices; an empty one held no record."""
        while max_records > 0:
            wanted = min(max_records, SLICE_RECORDS)
            seconds = max(0.0, until - time.monotonic())
            messages = self._vendor.consume(wanted, seconds)
            if messages:
                yield to_columns(self._records_among(messages))
            if len(messages) < wanted:
                return
            max_records -= wanted
