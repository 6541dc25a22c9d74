"""The first commits of a group, seen and written from outside of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaError, KafkaException

from worker.errors import BrokerFailed
from worker.kafka import questions
from worker.kafka.config import ClientSettings, outsider_properties
from worker.kafka.faults import Action, Call, action_for
from worker.kafka.partitions import vendor_offsets
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


class GroupStart:
    """Whether and where a group has started; use it as a context manager.

    It does not wait for commits that are open: one of a worker that has died, perhaps
    this one's predecessor, would keep every start waiting, and whether there ever was
    a commit does not depend on it.
    """

    def __init__(self, settings: ClientSettings):
        self._group = settings.group
        self._outsider = Consumer(
            {**outsider_properties(settings), "isolation.level": "read_uncommitted"}
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
        """Let go of the broker."""
        self._outsider.close()

    def committed(
        self, places: Sequence[TopicPartition]
    ) -> dict[TopicPartition, NextOffset | None]:
        """Return what the group last committed, None where it never did."""
        return questions.committed(self._outsider, places)

    def commit(self, starts: Mapping[TopicPartition, NextOffset]) -> bool:
        """Commit where the group begins, for all partitions in one request.

        Returns False, and changes nothing, when the group has members: another worker
        was quicker, and what it committed counts.

        Raises
        ------
        BrokerFailed
            The broker does not accept the commits.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self._commit(starts)
            except KafkaException as error:
                fault = error.args[0]
                if fault.code() in _IS_RUNNING:
                    return False
                action = action_for(fault, Call.QUESTION)
                if action is not Action.REPEAT or time.monotonic() > deadline:
                    raise BrokerFailed(
                        f"group {self._group} cannot be started: {fault.str()}"
                    ) from error
            else:
                return True

    def _commit(self, starts: Mapping[TopicPartition, NextOffset]) -> None:
        offsets = vendor_offsets(starts)
        for answer in self._outsider.commit(offsets=offsets, asynchronous=False):
            if answer.error is not None:
                raise KafkaException(answer.error)
