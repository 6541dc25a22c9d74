"""Writes the first commits of a group, from outside of it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException

from worker.errors import BrokerFailed
from worker.kafka.config import ClientSettings, outsider_properties
from worker.kafka.consumer import vendor_offsets
from worker.kafka.faults import Action, Call, action_for
from worker.records import NextOffset, TopicPartition

#: How long the broker may take to accept the commits, seconds.
PATIENCE_SECONDS = 30.0

#: What the broker says when the group has members, hence has been started meanwhile.
_IS_RUNNING = frozenset(
    {
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.REBALANCE_IN_PROGRESS,
    }
)


def commit_starts(
    settings: ClientSettings, starts: Mapping[TopicPartition, NextOffset]
) -> bool:
    """Commit where a group begins, for all partitions in one request.

    Returns False, and changes nothing, when the group has members: another worker was
    quicker, and what it committed counts.

    Raises
    ------
    BrokerFailed
        The broker does not accept the commits.
    """
    outsider = Consumer(outsider_properties(settings))
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while True:
            try:
                _commit(outsider, starts)
            except KafkaException as error:
                fault = error.args[0]
                if fault.code() in _IS_RUNNING:
                    return False
                action = action_for(fault, Call.QUESTION)
                if action is not Action.REPEAT or time.monotonic() > deadline:
                    raise BrokerFailed(
                        f"group {settings.group} cannot be started: {fault.str()}"
                    ) from error
            else:
                return True
    finally:
        outsider.close()


def _commit(outsider: Consumer, starts: Mapping[TopicPartition, NextOffset]) -> None:
    answers = outsider.commit(offsets=vendor_offsets(starts), asynchronous=False)
    for answer in answers:
        if answer.error is not None:
            raise KafkaException(answer.error)
