"""A member of the group: records leave it as columns, assignment changes as calls.

Owns which partitions are this worker's and how far they have been read. What belongs
to nobody here any more never leaves, whatever the client still held of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as VendorPartition
from confluent_kafka.admin import AdminClient

from worker.kafka import questions
from worker.kafka.config import ClientSettings, asking_properties, consumer_properties
from worker.kafka.ends import LogEnds
from worker.kafka.faults import Notice, fatal_for, notice_of
from worker.kafka.fetching import Fetcher
from worker.kafka.membership import Membership, metadata_of_member
from worker.kafka.partitions import vendor_offsets, vendor_partitions, with_followers
from worker.kafka.reader import removed_until
from worker.kafka.reading import Reading, place_of, where
from worker.kafka.refusals import Refusals
from worker.records import LogBounds, NextOffset, RecordBatch, TopicPartition

#: Longest time for which the client's thread is left asleep while records come.
WAKE_SECONDS = 0.1

_LOG = logging.getLogger(__name__)

Assigned = Callable[
    [Mapping[TopicPartition, NextOffset | None]], Mapping[TopicPartition, int]
]
Gone = Callable[[Sequence[TopicPartition]], None]


class KafkaConsumer:
    """Polls the partitions that the group gives to this worker.

    Parameters
    ----------
    topics
        The group shares out the partitions of the first. Of the others, which have as
        many, a worker reads those of the same numbers: shared out by themselves, all
        partitions of one topic would gather at one worker.
    delay_seconds
        Least time from one batch to the next: records that come meanwhile share it.

    Attributes
    ----------
    membership
        What proves to the broker that this member is still one.
    refusals
        How long the broker has refused to let this member read.
    """

    def __init__(
        self, settings: ClientSettings, *, topics: Sequence[str], delay_seconds: float
    ):
        self._settings = settings
        self._topics = list(topics)
        self._vendor = Consumer(consumer_properties(settings))
        self._admin = AdminClient(asking_properties(settings))
        self._ends = LogEnds(self._admin)
        self._reading = Reading()
        self._fetcher = Fetcher(self._vendor, self._records, delay_seconds)
        self._paused: set[TopicPartition] = set()
        self._is_closing = False
        self._woken_at = 0.0
        self.membership = Membership(partial(metadata_of_member, self._vendor))
        self.refusals = Refusals(topics)

    def subscribe(
        self, *, on_assigned: Assigned, on_revoked: Gone, on_lost: Gone
    ) -> None:
        """Join the group; the callbacks come from inside `poll` and `close`.

        Parameters
        ----------
        on_assigned
            Receives what the group committed for each new partition, and returns the
            offsets at which reading starts. Those left out wait for `start`.
        on_revoked, on_lost
            Receive partitions that move on, and partitions that moved on unnoticed.
        """

        def assign(_: Consumer, partitions: list[VendorPartition]) -> None:
            self.membership.forget()
            # A client that is closing answers no questions, and they would never end.
            if partitions and not self._is_closing:
                self._assign(with_followers(self._topics, partitions), on_assigned)

        def gone(on_gone: Gone) -> Callable[[Consumer, list[VendorPartition]], None]:
            topics = self._topics
            return lambda _, gone: self._let_go(with_followers(topics, gone), on_gone)

        self._vendor.subscribe(
            self._topics[:1],
            on_assign=assign,
            on_revoke=gone(on_revoked),
            on_lost=gone(on_lost),
        )

    def poll(
        self, max_records: int, timeout_seconds: float, gather_seconds: float = 0.0
    ) -> RecordBatch:
        """Return what is there, waiting for a first record at most as long as given.

        Parameters
        ----------
        gather_seconds
            Wait that long at least, unless there is enough: more is about to come.

        Raises
        ------
        Fenced
            Another process has taken this instance's place.
        StateUnusable
            An offset cannot be read, or the topic is gone.
        BrokerFailed
            The broker refuses, or the client failed in an unknown way.
        """
        batch = self._reading.keep(
            self._fetcher.fetch(max_records, timeout_seconds, gather_seconds)
        )
        self._end_poll()
        if len(batch):
            self.refusals.forget()
        self._wake(is_idle=not len(batch))
        self.refusals.check()
        return batch

    def start(self, starts: Mapping[TopicPartition, int]) -> None:
        """Start reading partitions that `on_assigned` left out, between two polls.

        A partition that the client does not know yet is fetched at once; one that was
        paused would be fetched up to a second later.
        """
        self._vendor.incremental_assign(
            [VendorPartition(*place, offset) for place, offset in starts.items()]
        )
        self._reading.begin(starts)

    def committed(
        self, places: Sequence[TopicPartition]
    ) -> dict[TopicPartition, NextOffset | None]:
        """Return what the group committed, once no commit is open any more."""
        return questions.committed(self._vendor, places)

    def log_bounds(
        self, places: Sequence[TopicPartition]
    ) -> dict[TopicPartition, LogBounds]:
        """Return what each partition still holds."""
        return questions.log_bounds(
            self._admin, places, partial(removed_until, self._settings)
        )

    def offsets_at(
        self, timestamps_ms: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int | None]:
        """Return each partition's first offset that is no older than its time."""
        return questions.offsets_at(self._vendor, timestamps_ms)

    def positions(self) -> dict[TopicPartition, int]:
        """Return the offset up to which each partition has been read."""
        return self._reading.positions()

    def ended(self) -> set[TopicPartition]:
        """Return the partitions of which all has been read that there was."""
        return self._reading.ended()

    def written_until(
        self, places: Sequence[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Return where logs end, open commits included; without those of no answer."""
        return questions.written_until(self._admin, places)

    def lags(self) -> dict[TopicPartition, int]:
        """Return how many offsets lie before the end, where the broker has told it."""
        return self._ends.lags(self._vendor, self.positions())

    def told_at(self) -> Mapping[TopicPartition, float]:
        """Return as of when the broker has told the end, seconds since 1970."""
        return self._ends.told_at

    def headrooms(self) -> dict[TopicPartition, int]:
        """Return how many offsets lie behind the start, where it has told that."""
        return questions.headrooms(self._vendor, self.positions())

    def dropped(self) -> Mapping[str, int]:
        """Return how many records were not ours to answer, by what was wrong."""
        return self._reading.dropped

    def pause(self, places: Collection[TopicPartition]) -> None:
        """Stop reading those of the partitions that are ours; keeps them assigned."""
        ours = [place for place in places if place in self._reading]
        if ours:
            self._vendor.pause(vendor_partitions(ours))
            self._paused.update(ours)

    def resume(self, places: Collection[TopicPartition]) -> None:
        """Go on reading those of the partitions that are ours and were paused."""
        ours = [place for place in places if place in self._paused]
        self._paused.difference_update(ours)
        if ours:
            self._vendor.resume(vendor_partitions(ours))

    def commit(self, next_offsets: Mapping[TopicPartition, NextOffset]) -> None:
        """Commit offsets apart from any record; raises the client's own error."""
        for answer in self._vendor.commit(
            offsets=vendor_offsets(next_offsets), asynchronous=False
        ):
            if answer.error is not None:
                raise KafkaException(answer.error)

    def close(self) -> None:
        """Give the partitions back; a static member's slot is kept for a restart."""
        self._is_closing = True
        if not self._settings.is_static:
            # Else the client leaves without a word while it has no partitions yet, and
            # the group waits for it until its session ends.
            self._vendor.unsubscribe()
        self._vendor.close()

    def _wake(self, *, is_idle: bool) -> None:
        """Wake the client's own thread, which else joins and beats once a second."""
        now = time.monotonic()
        if is_idle or now - self._woken_at > WAKE_SECONDS:
            self._woken_at = now
            # Any question does.
            self._vendor.memberid()

    def _records(self, messages: list[Message]) -> list[Message]:
        """Return the messages that are records; heed those that are errors."""
        if not any(map(Message.error, messages)):
            return messages
        return [m for m in messages if self._is_record(m)]

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.code() == KafkaError._PARTITION_EOF:
            self._reading.mark_end(place_of(message), message.offset() or 0)
            self.refusals.forget()
        else:
            self._heed(error, where(message))
        return False

    def _heed(self, error: KafkaError, where: str) -> None:
        """Log what will pass, raise what will not."""
        notice = notice_of(error)
        if notice is Notice.PASSING:
            _LOG.warning("broker_trouble", extra={"error": error.name()})
        elif notice is Notice.REFUSED:
            _LOG.warning("broker_refuses", extra={"error": error.name()})
            self.refusals.note()
        else:
            raise fatal_for(notice, error, where)

    def _assign(self, places: list[TopicPartition], on_assigned: Assigned) -> None:
        starts = on_assigned(self.committed(places))
        assert starts.keys() <= set(places)
        # Also where there are none, or the client would start all by itself.
        self.start(starts)
        # Only these: a partition that is resumed is fetched up to a second later.
        if self._reading.returned:
            self._vendor.pause(vendor_partitions(self._reading.returned))

    def _let_go(self, places: list[TopicPartition], on_gone: Gone) -> None:
        self.membership.forget()
        if not places:
            return
        on_gone(places)
        read = [place for place in places if place in self._reading]
        # The client remembers a pause beyond the assignment: a partition that came
        # back would never be read.
        self._vendor.resume(vendor_partitions(read))
        self._vendor.incremental_unassign(vendor_partitions(read))
        self._reading.end(places)
        self._paused.difference_update(places)

    def _end_poll(self) -> None:
        returned = self._reading.returned - self._paused
        if returned:
            self._vendor.resume(vendor_partitions(returned))
        self._reading.end_poll()
