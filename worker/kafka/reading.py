"""Which partitions are ours and how far they have been read.

Owns the decision whether a record that the client hands out is ours to answer. The
client has barriers of its own; the counts kept here are the evidence that they hold.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Collection, Mapping

from confluent_kafka import Message

from worker.records import RecordBatch, TopicPartition
from worker.spans import spans_of

_LOG = logging.getLogger(__name__)


class Reading:
    """The partitions that are assigned, and the next offset of each.

    Attributes
    ----------
    returned
        Lost and assigned again within this very poll. Until it is over, nobody can
        tell by which assignment a record of theirs came, so none is kept.
    dropped
        Records that were not ours to answer, by what was wrong with them.
    """

    def __init__(self) -> None:
        self._next: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._gone: set[TopicPartition] = set()
        self.returned: set[TopicPartition] = set()
        self.dropped: Counter[str] = Counter()

    def __contains__(self, place: TopicPartition) -> bool:
        return place in self._next

    def begin(self, starts: Mapping[TopicPartition, int]) -> None:
        """Own partitions from these offsets on."""
        self._next.update(starts)
        self.returned.update(self._gone.intersection(starts))

    def end(self, places: Collection[TopicPartition]) -> None:
        """Own the partitions no longer."""
        for place in places:
            self._next.pop(place, None)
            self._ends.pop(place, None)
        self._gone.update(places)
        self.returned.difference_update(places)

    def end_poll(self) -> None:
        """Note that what is polled from now on came by the present assignment."""
        self._gone.clear()
        self.returned.clear()

    def mark_end(self, place: TopicPartition, offset: int) -> None:
        """Note that no record lies before this offset that has not been seen."""
        if place in self._next and place not in self.returned:
            self._ends[place] = offset

    def positions(self) -> dict[TopicPartition, int]:
        """Return the offset up to which each partition has been read.

        Moves past markers behind the last record as soon as the end is known.
        """
        ends = self._ends
        return {place: max(n, ends.get(place, 0)) for place, n in self._next.items()}

    def ended(self) -> set[TopicPartition]:
        """Return the partitions that have been read to the end that the client saw."""
        return {p for p, n in self._next.items() if self._ends.get(p, -1) >= n}

    def keep(self, records: RecordBatch) -> RecordBatch:
        """Return those of the records that are ours to answer."""
        spans, offsets = spans_of(records), records.offsets
        # Of a partition that has several, the last one is on top.
        firsts = {place: offsets[first] for place, first, _ in reversed(spans)}
        if any(self._fault_of(place, offset) for place, offset in firsts.items()):
            kept = RecordBatch()
            for row in range(len(records)):
                if self._is_wanted(records, row):
                    kept.extend(records.cut(slice(row, row + 1)))
            return self.keep(kept)
        self._next.update({place: offsets[last - 1] + 1 for place, _, last in spans})
        return records

    def _is_wanted(self, records: RecordBatch, row: int) -> bool:
        place = TopicPartition(records.topics[row], records.partitions[row])
        offset = records.offsets[row]
        fault = self._fault_of(place, offset)
        if fault:
            self.dropped[fault] += 1
            _LOG.warning("record_dropped", extra={"reason": fault, "offset": offset})
        return fault is None

    def _fault_of(self, place: TopicPartition, offset: int) -> str | None:
        if place not in self._next:
            return "not_owned"
        if place in self.returned:
            return "unclear_assignment"
        return "already_read" if offset < self._next[place] else None


def place_of(message: Message) -> TopicPartition:
    """Return the partition that a message, or an error in its place, is about."""
    topic, partition = message.topic(), message.partition()
    assert topic is not None
    assert partition is not None
    return TopicPartition(topic, partition)


def where(message: Message) -> str:
    """Return where a message lies, as it ends a sentence."""
    return f" at {message.topic()}/{message.partition()} offset {message.offset()}"


def to_columns(messages: list[Message]) -> RecordBatch:
    """Make each column in one pass in C: nothing else here costs as much."""
    topics = [t for t in map(Message.topic, messages) if t is not None]
    return RecordBatch(
        # One object for each name: to compare them is then to look at nothing else.
        topics=list(map(sys.intern, topics)),
        partitions=[p for p in map(Message.partition, messages) if p is not None],
        offsets=[o for o in map(Message.offset, messages) if o is not None],
        timestamps_ms=[ms for _, ms in map(Message.timestamp, messages)],
        keys=list(map(Message.key, messages)),
        values=list(map(Message.value, messages)),
    )
