"""What the broker last said about the ends of partitions, and when it was asked.

The client's own figures stand still at whatever they were once the broker is gone. So
it is asked in the background: the age of its answer tells how far to trust the lag.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future

from confluent_kafka import Consumer, IsolationLevel
from confluent_kafka import TopicPartition as VendorPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec

from worker.records import TopicPartition

#: How often it is asked, and how long an answer is waited for, seconds.
ASK_SECONDS = 5.0


class LogEnds:
    """The ends of partitions as they were last told; asking waits for nothing.

    Parameters
    ----------
    now
        Seconds since 1970.
    """

    def __init__(self, admin: AdminClient, now: Callable[[], float] = time.time):
        self._admin = admin
        self._now = now
        self._asked_at = 0.0
        self._asked: dict[TopicPartition, Future[ListOffsetsResultInfo]] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._told_at: dict[TopicPartition, float] = {}

    @property
    def told_at(self) -> Mapping[TopicPartition, float]:
        """When each end was asked for that has been told since, seconds since 1970."""
        return self._told_at

    def lags(
        self, client: Consumer, positions: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Return how far positions lie before the last ends known; now and then ask."""
        self._take_answers()
        self._ask(positions.keys())
        found = {}
        for place, position in positions.items():
            _, end = client.get_watermark_offsets(VendorPartition(*place), cached=True)
            # What the client fetched last may be older or younger than the answer.
            end = max(end, self._ends.get(place, -1))
            if end >= 0:
                found[place] = max(0, end - position)
        return found

    def _take_answers(self) -> None:
        for place, future in list(self._asked.items()):
            if not future.done():
                continue
            del self._asked[place]
            # One that was not answered in time has no error but an impossible offset.
            if future.exception() is None and future.result().offset >= 0:
                self._ends[place] = future.result().offset
                self._told_at[place] = self._asked_at

    def _ask(self, places: Collection[TopicPartition]) -> None:
        now = self._now()
        if self._asked or 0 <= now - self._asked_at < ASK_SECONDS:
            return
        for known in (self._ends, self._told_at):
            for place in known.keys() - set(places):
                del known[place]
        if not places:
            return
        self._asked_at = now
        answers = self._admin.list_offsets(
            {VendorPartition(*place): OffsetSpec.latest() for place in places},
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=ASK_SECONDS,
        )
        self._asked = {
            TopicPartition(asked.topic, asked.partition): future
            for asked, future in answers.items()
        }
