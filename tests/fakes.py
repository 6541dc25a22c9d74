"""A broker in memory: logs, groups and commits, behind the loop's two protocols.

It keeps the promises that the loop relies on: read_committed, offsets that markers
take, cooperative rebalances, and commits that only a partition's owner can make.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from worker.commands.samples import murmur2
from worker.errors import CommitAborted, CommitUnknown, Fenced
from worker.loop.ports import Assigned, Gone
from worker.records import (
    BY_KEY,
    Header,
    LogBounds,
    NextOffset,
    Output,
    RecordBatch,
    TopicPartition,
)

#: What a producer can be told to do with its next commit.
Outcome = Literal["take", "abort", "take but not say", "abort but not say", "fence"]

Event = tuple[Literal["assign", "revoke", "lose"], list[TopicPartition]]


class Stored(NamedTuple):
    """A record as a reader sees it."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[Header]
    timestamp_ms: int


@dataclass
class _Log:
    start: int = 0
    end: int = 0
    records: list[Stored] = field(default_factory=list)


@dataclass
class _Group:
    committed: dict[TopicPartition, NextOffset] = field(default_factory=dict)
    members: dict[str, FakeConsumer] = field(default_factory=dict)
    owner: dict[TopicPartition, str] = field(default_factory=dict)


class InMemoryBroker:
    """Topics and groups; every record has the clock's time."""

    def __init__(self, now_ms: Callable[[], int] = lambda: int(time.time() * 1000)):
        self._now_ms = now_ms
        self._logs: dict[TopicPartition, _Log] = {}
        self.groups: dict[str, _Group] = {}

    def create_topic(self, name: str, partitions: int) -> None:
        for partition in range(partitions):
            self._logs[TopicPartition(name, partition)] = _Log()

    def append(
        self,
        place: TopicPartition,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Iterable[Header] = (),
        timestamp_ms: int | None = None,
    ) -> int:
        """Store a record that everybody may read; return its offset."""
        log = self._logs[place]
        time_ms = self._now_ms() if timestamp_ms is None else timestamp_ms
        log.records.append(Stored(log.end, key, value, list(headers), time_ms))
        log.end += 1
        return log.end - 1

    def skip(self, place: TopicPartition, count: int = 1) -> None:
        """Let offsets pass without a record: a marker, or what an abort left."""
        self._logs[place].end += count

    def trim(self, place: TopicPartition, before: int) -> None:
        """Remove the records before an offset, as retention does."""
        log = self._logs[place]
        log.start = before
        log.records = [record for record in log.records if record.offset >= before]

    def records(self, topic: str) -> dict[int, list[Stored]]:
        """Return what a reader of committed records sees, by partition."""
        return {
            place.partition: list(log.records)
            for place, log in self._logs.items()
            if place.topic == topic
        }

    def log(self, place: TopicPartition) -> _Log:
        return self._logs[place]

    def places(self, topics: Iterable[str]) -> list[TopicPartition]:
        wanted = set(topics)
        return [place for place in self._logs if place.topic in wanted]

    def place_of(self, output: Output) -> TopicPartition:
        """Return where an output goes: by its key's hash where nobody says where."""
        if output.partition != BY_KEY:
            return TopicPartition(output.topic, output.partition)
        assert output.key is not None, "what is placed by its key has one"
        count = len(self.places([output.topic]))
        return TopicPartition(output.topic, murmur2(output.key) % count)

    def group(self, name: str) -> _Group:
        return self.groups.setdefault(name, _Group())

    def join(self, member: FakeConsumer) -> None:
        self.group(member.group).members[member.name] = member
        self.rebalance(member.group)

    def leave(self, member: FakeConsumer) -> None:
        group = self.group(member.group)
        del group.members[member.name]
        for place in [p for p, owner in group.owner.items() if owner == member.name]:
            del group.owner[place]
        self.rebalance(member.group)

    def rebalance(self, name: str) -> None:
        """Share partitions out; what moves is revoked before it is assigned."""
        group = self.group(name)
        names = sorted(group.members)
        if not names:
            return
        topics = next(iter(group.members.values())).topics
        for i, place in enumerate(self.places(topics)):
            target = names[i % len(names)]
            owner = group.owner.get(place)
            if owner is None:
                group.owner[place] = target
                group.members[target].events.append(("assign", [place]))
            elif owner != target:
                event: Event = ("revoke", [place])
                events = group.members[owner].events
                if event not in events:
                    events.append(event)

    def take_away(self, member: FakeConsumer, places: Sequence[TopicPartition]) -> None:
        """Expire a member's session for partitions that come straight back to it."""
        member.events.append(("lose", list(places)))
        member.events.append(("assign", list(places)))


class FakeConsumer:
    """A member of a group in memory."""

    def __init__(
        self, broker: InMemoryBroker, group: str, name: str, topics: Sequence[str]
    ):
        self.broker = broker
        self.group = group
        self.name = name
        self.topics = list(topics)
        self.events: deque[Event] = deque()
        self.paused: set[TopicPartition] = set()
        self.polls: list[float] = []
        self._last_told: tuple[dict[TopicPartition, int], float] | None = None
        self._assigned: set[TopicPartition] = set()
        self._next: dict[TopicPartition, int] = {}
        self._on_assigned: Assigned
        self._on_gone: dict[str, Gone] = {}

    def subscribe(
        self, *, on_assigned: Assigned, on_revoked: Gone, on_lost: Gone
    ) -> None:
        self._on_assigned = on_assigned
        self._on_gone = {"revoke": on_revoked, "lose": on_lost}
        self.broker.join(self)

    def poll(
        self,
        max_records: int,
        timeout_seconds: float,
        gather_seconds: float = 0.0,  # noqa: ARG002
    ) -> RecordBatch:
        self.polls.append(timeout_seconds)
        while self.events:
            self._handle(*self.events.popleft())
        batch = RecordBatch()
        for place in sorted(self._next.keys() - self.paused):
            self._read(place, batch, max_records - len(batch))
        return batch

    def start(self, starts: Mapping[TopicPartition, int]) -> None:
        assert starts.keys() <= self._assigned - self._next.keys()
        self._next.update(starts)

    def committed(
        self, places: Sequence[TopicPartition]
    ) -> dict[TopicPartition, NextOffset | None]:
        committed = self.broker.group(self.group).committed
        return {place: committed.get(place) for place in places}

    def log_bounds(
        self, places: Sequence[TopicPartition]
    ) -> dict[TopicPartition, LogBounds]:
        return {place: self._bounds(self.broker.log(place)) for place in places}

    def offsets_at(
        self, timestamps_ms: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int | None]:
        return {
            place: next(
                (
                    record.offset
                    for record in self.broker.log(place).records
                    if record.timestamp_ms >= time_ms
                ),
                None,
            )
            for place, time_ms in timestamps_ms.items()
        }

    def positions(self) -> dict[TopicPartition, int]:
        return {
            place: offset
            if any(r.offset >= offset for r in self.broker.log(place).records)
            else max(offset, self.broker.log(place).end)
            for place, offset in self._next.items()
        }

    def cut_off(self) -> None:
        """Let the broker say nothing more about the ends of its logs."""
        self._last_told = self.lags(), time.time()

    def lags(self) -> dict[TopicPartition, int]:
        if self._last_told is not None:
            return self._last_told[0]
        return {
            place: self.broker.log(place).end - position
            for place, position in self.positions().items()
        }

    def told_at(self) -> dict[TopicPartition, float]:
        at = time.time() if self._last_told is None else self._last_told[1]
        return dict.fromkeys(self._next, at)

    def ended(self) -> set[TopicPartition]:
        return {
            place
            for place, position in self._next.items()
            if not any(r.offset >= position for r in self.broker.log(place).records)
        }

    def written_until(
        self, places: Sequence[TopicPartition]
    ) -> dict[TopicPartition, int]:
        if self._last_told is not None:
            return {}
        return {place: self.broker.log(place).end for place in places}

    def headrooms(self) -> dict[TopicPartition, int]:
        return {
            place: position - self.broker.log(place).start
            for place, position in self.positions().items()
        }

    def pause(self, places: Collection[TopicPartition]) -> None:
        self.paused.update(set(places) & self._next.keys())

    def resume(self, places: Collection[TopicPartition]) -> None:
        self.paused.difference_update(places)

    def close(self) -> None:
        if self._assigned:
            self._let_go("revoke", list(self._assigned))
        self.broker.leave(self)

    def owns(self, place: TopicPartition) -> bool:
        """Whether the broker would take a commit of this member."""
        return self.broker.group(self.group).owner.get(place) == self.name

    def _bounds(self, log: _Log) -> LogBounds:
        removed_until_ms = None
        if log.start:
            first = log.records[0].timestamp_ms if log.records else None
            removed_until_ms = int(time.time() * 1000) if first is None else first
        return LogBounds(log.start, log.end, removed_until_ms)

    def _read(self, place: TopicPartition, batch: RecordBatch, limit: int) -> None:
        log = self.broker.log(place)
        following = [r for r in log.records if r.offset >= self._next[place]]
        for record in following[: max(0, limit)]:
            batch.topics.append(place.topic)
            batch.partitions.append(place.partition)
            batch.offsets.append(record.offset)
            batch.timestamps_ms.append(record.timestamp_ms)
            batch.keys.append(record.key)
            batch.values.append(record.value)
            self._next[place] = record.offset + 1

    def _handle(
        self,
        kind: Literal["assign", "revoke", "lose"],
        places: list[TopicPartition],
    ) -> None:
        if kind == "assign":
            starts = self._on_assigned(self.committed(places))
            self._assigned.update(places)
            self.start(starts)
            return
        self._let_go(kind, places)
        if kind == "revoke":
            group = self.broker.group(self.group)
            for place in places:
                group.owner.pop(place, None)
            self.broker.rebalance(self.group)

    def _let_go(
        self, kind: Literal["revoke", "lose"], places: list[TopicPartition]
    ) -> None:
        self._on_gone[kind](places)
        self._assigned.difference_update(places)
        for place in places:
            self._next.pop(place, None)
        self.paused.difference_update(places)


class FakeProducer:
    """Commits to a broker in memory, or does what the script says instead.

    Attributes
    ----------
    script
        What happens to the next commits; when it is empty they are taken.
    attempts
        What every call was asked to commit.
    """

    def __init__(self, consumer: FakeConsumer):
        self._consumer = consumer
        self.script: deque[Outcome] = deque()
        self.attempts: list[tuple[list[Output], dict[TopicPartition, NextOffset]]] = []
        self.before_commit: Callable[[], None] = lambda: None
        self.is_closed = False

    def commit(
        self,
        outputs: Sequence[Output],
        next_offsets: Mapping[TopicPartition, NextOffset],
    ) -> None:
        self.attempts.append((list(outputs), dict(next_offsets)))
        self.before_commit()
        outcome = self.script.popleft() if self.script else "take"
        if outcome == "fence":
            raise Fenced("another process commits under this name")
        strangers = [p for p in next_offsets if not self._consumer.owns(p)]
        if strangers or outcome.startswith("abort"):
            self._leave_gaps(outputs)
            kind = CommitUnknown if outcome == "abort but not say" else CommitAborted
            raise kind(f"not a member for {strangers}")
        self._take(outputs, next_offsets)
        if outcome == "take but not say":
            raise CommitUnknown("no answer")

    def close(self) -> None:
        self.is_closed = True

    def _take(
        self,
        outputs: Sequence[Output],
        next_offsets: Mapping[TopicPartition, NextOffset],
    ) -> None:
        broker = self._consumer.broker
        touched = set()
        for output in outputs:
            place = broker.place_of(output)
            broker.append(
                place,
                output.value,
                key=output.key,
                headers=output.headers,
                timestamp_ms=output.timestamp_ms or None,
            )
            touched.add(place)
        for place in touched:
            broker.skip(place)
        broker.group(self._consumer.group).committed.update(next_offsets)

    def _leave_gaps(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            broker = self._consumer.broker
            broker.skip(broker.place_of(output))
