"""Commits outputs together with the offsets they answer, or not at all.

Owns the broker's transaction, which is a commit everywhere else: it begins late, never
outlives a call, and after a doubtful end the producer is replaced under the same id.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError

from worker.errors import CommitAborted, CommitUnknown
from worker.kafka.client_log import ClientLog
from worker.kafka.config import ClientSettings, commit_properties
from worker.kafka.faults import Action, Call
from worker.kafka.membership import Membership
from worker.kafka.partitions import vendor_offsets
from worker.kafka.sending import SLICE_SECONDS, Deadline, Failed, Sender
from worker.records import NextOffset, Output, TopicPartition

#: Bounds of the two steps of an abort, seconds; after that the producer is replaced.
FLUSH_SECONDS = 5.0
ABORT_SECONDS = 5.0

#: Share of the time limit of one request. A commit that took longer may have left a
#: request on its way that ends the next commit in its place (KAFKA-17754).
SUSPICIOUS_SHARE = 0.5

_LOG = logging.getLogger(__name__)


class ExactlyOnceProducer:
    """One producer at a time under one stable id.

    Parameters
    ----------
    membership
        Proves that we are a member; raises CommitAborted while we are none.
    deadline
        Given when an attempt began, tells until when it may go on.

    Attributes
    ----------
    replaced_count
        How often a doubtful end made a new producer necessary.

    Raises
    ------
    Fenced, BrokerFailed
        The id cannot be had.
    """

    def __init__(
        self,
        settings: ClientSettings,
        *,
        membership: Membership,
        deadline: Deadline,
    ):
        self._properties = {
            **commit_properties(settings),
            "error_cb": self._on_error,
            "logger": ClientLog(on_broken=self._suspect),
            # Else a connection that broke would not be told of.
            "log.connection.close": True,
        }
        limit_ms = float(self._properties["socket.timeout.ms"])
        self._suspicious_seconds = SUSPICIOUS_SHARE * limit_ms / 1000
        self._membership = membership
        self._deadline = deadline
        self.replaced_count = 0
        self._is_suspect = False
        self._sender = self._connect()

    def commit(
        self,
        outputs: Sequence[Output],
        next_offsets: Mapping[TopicPartition, NextOffset],
    ) -> None:
        """Make outputs and offsets visible together.

        1. replace the producer if the last commit ended in doubt
        2. prove membership, before anything is begun
        3. begin
        4. produce the outputs
        5. add the offsets; never flush before, that costs two more round trips
        6. commit

        Raises
        ------
        CommitAborted
            None of it is visible; send it again.
        CommitUnknown
            As far as this call knows. The producer has been replaced or has aborted,
            so that the committed offsets now tell the truth.
        Fenced
            Another process uses the same id.
        BrokerFailed
            Sending it again would not help.
        """
        if self._is_suspect:
            self._replace()
        proof = self._membership.proof()
        started = time.monotonic()
        sender, vendor = self._sender, self._sender.vendor
        sender.begin()
        try:
            sender.insist(Call.BEGIN, vendor.begin_transaction)
            sender.produce(outputs)
            sender.insist(
                Call.OFFSETS,
                vendor.send_offsets_to_transaction,
                vendor_offsets(next_offsets),
                proof,
                SLICE_SECONDS,
            )
            sender.insist(Call.COMMIT, vendor.commit_transaction, SLICE_SECONDS)
            sender.serve()
        except Failed as failed:
            self._membership.forget()
            raise self._recover(failed) from failed
        if time.monotonic() - started > self._suspicious_seconds:
            self._suspect("slow_commit")

    def close(self) -> None:
        """Let go of the broker; a commit left open is aborted by the successor."""
        self._sender.discard()

    def _recover(self, failed: Failed) -> CommitAborted:
        """Close what was begun; return what the caller should know about it.

        Raises
        ------
        Fenced, BrokerFailed
            There is nothing to be sent again by this process.
        """
        if failed.action not in {Action.ABORT, Action.REPLACE}:
            raise failed.as_fatal() from failed
        _LOG.warning("commit_failed", extra={"reason": str(failed)})
        self._sender.begin()
        if not self._sender.seconds_left():
            # Told to stop, and late: the successor closes what is open.
            self._suspect("left_open")
        elif failed.action is Action.ABORT:
            self._abort()
        else:
            self._replace()
        kind = CommitUnknown if failed.call is Call.COMMIT else CommitAborted
        return kind(str(failed))

    def _abort(self) -> None:
        """Abort, within bounds.

        What is on its way is awaited first: an abort that purges requests in flight
        breaks the next commit.
        """
        sender = self._sender
        try:
            sender.flush(FLUSH_SECONDS)
            limit = sender.seconds_left(ABORT_SECONDS)
            sender.insist(Call.ABORT, sender.vendor.abort_transaction, limit)
        except Failed as failed:
            if failed.action is not Action.REPLACE:
                raise failed.as_fatal() from failed
            self._replace()

    def _replace(self) -> None:
        """Take a new producer under the same id.

        Its start settles what the old one left: an open commit is aborted, and a
        request still on its way is refused when it arrives.
        """
        old = self._sender
        self._sender = self._connect()
        self._is_suspect = False
        self.replaced_count += 1
        _LOG.warning("producer_replaced", extra={"count": self.replaced_count})
        # The old one may be waiting for a broker that does not answer; we need not.
        threading.Thread(target=old.discard, daemon=True).start()

    def _connect(self) -> Sender:
        sender = Sender(self._properties, self._deadline)
        try:
            sender.insist(Call.INIT, sender.vendor.init_transactions, SLICE_SECONDS)
        except Failed as failed:
            raise failed.as_fatal() from failed
        return sender

    def _on_error(self, error: KafkaError) -> None:
        """Take whatever the client cannot repair for the end of a commit in doubt."""
        self._suspect(error.name())

    def _suspect(self, reason: str) -> None:
        if not self._is_suspect:
            _LOG.info("producer_suspect", extra={"reason": reason})
        self._is_suspect = True
