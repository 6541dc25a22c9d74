"""Sends outputs, then commits their offsets: for brokers without transactions.

A crash between the two repeats outputs; nothing is ever left out.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import KafkaError, Message

from worker.errors import CommitAborted
from worker.kafka.config import ClientSettings, producer_properties
from worker.kafka.faults import Action, Call, action_for
from worker.kafka.sending import Deadline, Failed, Sender
from worker.records import NextOffset, Output, TopicPartition

#: How long outputs may be on their way before they are sent again, seconds.
DELIVERY_SECONDS = 30.0

_LOG = logging.getLogger(__name__)


class AtLeastOnceProducer:
    """An idempotent producer: its own retries neither repeat nor reorder outputs.

    Parameters
    ----------
    commit_offsets
        Commits next offsets and waits for the answer; raises the client's error.
    deadline
        Given when an attempt began, tells until when it may go on.
    """

    def __init__(
        self,
        settings: ClientSettings,
        *,
        commit_offsets: Callable[[Mapping[TopicPartition, NextOffset]], None],
        deadline: Deadline,
    ):
        self._properties = {
            "message.timeout.ms": int(DELIVERY_SECONDS * 1000),
            **producer_properties(settings),
            # Called for what could not be delivered, and for nothing else.
            "delivery.report.only.error": True,
            "on_delivery": self._on_failure,
        }
        self._commit_offsets = commit_offsets
        self._deadline = deadline
        self._failures: list[KafkaError] = []
        self.replaced_count = 0
        self._sender = Sender(self._properties, deadline)

    def commit(
        self,
        outputs: Sequence[Output],
        next_offsets: Mapping[TopicPartition, NextOffset],
    ) -> None:
        """Deliver the outputs, then commit the offsets.

        Raises
        ------
        CommitAborted
            The offsets were not committed; outputs may have been delivered.
        Fenced, BrokerFailed
            Sending it again would not help.
        """
        self._sender.begin()
        try:
            self._deliver(outputs)
            self._sender.insist(Call.OFFSETS_ALONE, self._commit_offsets, next_offsets)
        except Failed as failed:
            if failed.action in {Action.FENCED, Action.GIVE_UP}:
                raise failed.as_fatal() from failed
            _LOG.warning("commit_failed", extra={"reason": str(failed)})
            if failed.call is Call.PRODUCE:
                self._replace()
            raise CommitAborted(str(failed)) from failed

    def close(self) -> None:
        """Let go of the broker."""
        self._sender.discard()

    def _deliver(self, outputs: Sequence[Output]) -> None:
        self._failures.clear()
        self._sender.produce(outputs)
        if not self._sender.flush(DELIVERY_SECONDS):
            late = KafkaError(KafkaError._MSG_TIMED_OUT)
            raise Failed(Call.PRODUCE, Action.ABORT, late)
        for failure in self._failures:
            action = action_for(failure, Call.PRODUCE)
            if action is Action.REPEAT:
                action = Action.ABORT
            raise Failed(Call.PRODUCE, action, failure)

    def _replace(self) -> None:
        """Leave behind whatever the old producer could not deliver."""
        old, self._sender = self._sender, Sender(self._properties, self._deadline)
        self.replaced_count += 1
        threading.Thread(target=old.discard, daemon=True).start()

    def _on_failure(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failures.append(error)
