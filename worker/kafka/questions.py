"""What the broker says about a group's commits and about the ends of its logs.

Asked with a client that the caller owns: a member of the group, or an outsider.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
)
from confluent_kafka import TopicPartition as VendorPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from worker.errors import BrokerFailed, Fenced
from worker.kafka.faults import Action, Call, action_for
from worker.records import LogBounds, NextOffset, TopicPartition

#: How long a question is asked again, seconds. A worker that died for good leaves its
#: commit open for up to 25 seconds after its partitions have moved, and what it
#: committed is not known before.
PATIENCE_SECONDS = 35.0

#: Limit of one attempt, seconds.
_ATTEMPT_SECONDS = 5.0

#: Limit of the question how far logs are written, seconds.
WRITTEN_SECONDS = 1.0

#: The client asks by what it knew of the leaders before a broker restarted, and goes on
#: so for a quarter of an hour unless all topics are asked for.
_OUTDATED = frozenset(
    {
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
    }
)

Answer = TypeVar("Answer")


def committed(
    vendor: Consumer, places: Sequence[TopicPartition]
) -> dict[TopicPartition, NextOffset | None]:
    """Return what the group committed; waits for a commit that is still open.

    Raises
    ------
    BrokerFailed
        No answer in time, or not allowed to know.
    """
    asked = [VendorPartition(*place) for place in places]

    def ask() -> list[VendorPartition]:
        answers = vendor.committed(asked, _ATTEMPT_SECONDS)
        return _without_errors(answers)

    return {
        TopicPartition(answer.topic, answer.partition): (
            NextOffset(answer.offset, answer.metadata or "")
            if answer.offset >= 0
            else None
        )
        for answer in _insist("the committed offsets", ask)
    }


def offsets_at(
    vendor: Consumer, timestamps_ms: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int | None]:
    """Return the first offset of each partition that is no older than its time.

    None where no record is that young.

    Raises
    ------
    BrokerFailed
        No answer in time, or not allowed to know.
    """
    asked = [VendorPartition(*place, time) for place, time in timestamps_ms.items()]
    if not asked:
        return {}

    def ask() -> list[VendorPartition]:
        return _without_errors(vendor.offsets_for_times(asked, _ATTEMPT_SECONDS))

    return {
        TopicPartition(answer.topic, answer.partition): (
            answer.offset if answer.offset >= 0 else None
        )
        for answer in _insist("the offsets at a time", ask)
    }


def log_bounds(
    admin: AdminClient,
    places: Sequence[TopicPartition],
    removed_until: Callable[[TopicPartition, int, int], int | None],
) -> dict[TopicPartition, LogBounds]:
    """Return what each partition holds for a reader of committed records.

    Parameters
    ----------
    removed_until
        Given a partition whose start was removed, its first offset and its end, reads
        the timestamp of the first record. The broker is asked before: it knows for all
        partitions at once, but not while a segment whose records have all been deleted
        is still on disk (seen on Kafka 4.1).

    Raises
    ------
    BrokerFailed
        No answer in time, or not allowed to know.
    """
    starts = _list_offsets(admin, places, OffsetSpec.earliest())
    ends = log_ends(admin, places)
    trimmed = [place for place in places if starts[place].offset > 0]
    firsts = _list_offsets(admin, trimmed, OffsetSpec.for_timestamp(0))
    bounds = {}
    for place in places:
        start, end = starts[place].offset, ends[place]
        first = firsts.get(place)
        until_ms = None if first is None else first.timestamp
        if first is not None and first.offset < 0:
            until_ms = removed_until(place, start, end)
        bounds[place] = LogBounds(start, end, until_ms)
    return bounds


def log_ends(
    admin: AdminClient, places: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    """Return where each partition ends for a reader of committed records.

    Raises
    ------
    BrokerFailed
        No answer in time, or not allowed to know.
    """
    found = _list_offsets(admin, places, OffsetSpec.latest())
    return {place: answer.offset for place, answer in found.items()}


def written_until(
    admin: AdminClient, places: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    """Return where logs end, commits included that are still open.

    Asks once, for whoever can as well ask again; what has no answer is left out.
    """
    futures = admin.list_offsets(
        {VendorPartition(*place): OffsetSpec.latest() for place in places},
        isolation_level=IsolationLevel.READ_UNCOMMITTED,
        request_timeout=WRITTEN_SECONDS,
    )
    deadline = time.monotonic() + 2 * WRITTEN_SECONDS
    ends = {}
    for place, future in futures.items():
        try:
            found = future.result(max(0.0, deadline - time.monotonic()))
        except (KafkaException, TimeoutError):
            continue
        # What was not answered in time has no error but an impossible offset.
        if found.offset >= 0:
            ends[TopicPartition(place.topic, place.partition)] = found.offset
    return ends


def _list_offsets(
    admin: AdminClient, places: Sequence[TopicPartition], spec: OffsetSpec
) -> dict[TopicPartition, Any]:
    asked = {VendorPartition(*place): spec for place in places}

    def ask() -> dict[TopicPartition, Any]:
        try:
            return answers()
        except KafkaException as error:
            if error.args[0].code() in _OUTDATED:
                admin.list_topics(timeout=_ATTEMPT_SECONDS)
            raise

    def answers() -> dict[TopicPartition, Any]:
        futures = admin.list_offsets(
            asked,
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=_ATTEMPT_SECONDS,
        )
        answers = {
            TopicPartition(place.topic, place.partition): future.result()
            for place, future in futures.items()
        }
        # What was not answered in time has no error but an impossible offset.
        if any(answer.offset == OFFSET_INVALID for answer in answers.values()):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return answers

    return _insist("the ends of the log", ask) if asked else {}


def _insist(what: str, ask: Callable[[], Answer]) -> Answer:
    """Ask until there is an answer, an error that will stay, or no more patience."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except KafkaException as error:
            fault = error.args[0]
            action = action_for(fault, Call.QUESTION)
            if action is Action.FENCED:
                raise Fenced(f"no answer about {what}: {fault.str()}") from error
            if action is not Action.REPEAT or time.monotonic() > deadline:
                raise BrokerFailed(
                    f"the broker does not tell {what}: {fault.str()} ({fault.name()})"
                ) from error


def _without_errors(answers: list[VendorPartition]) -> list[VendorPartition]:
    for answer in answers:
        if answer.error is not None:
            raise KafkaException(answer.error)
    return answers


def headrooms(
    client: Consumer, positions: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Return how far positions lie behind the starts that the broker last told."""
    found = {}
    for place, position in positions.items():
        start, _ = client.get_watermark_offsets(VendorPartition(*place), cached=True)
        if start >= 0:
            found[place] = max(0, position - start)
    return found
