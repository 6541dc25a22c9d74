"""`fraud-worker run` whose commits are aborted at random, right before their end.

What a commit holds has been produced by then, so the abort is a real one.
"""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError

from worker.cli import main
from worker.commands import connecting
from worker.kafka.faults import Action, Call
from worker.kafka.producer import ExactlyOnceProducer
from worker.kafka.sending import Failed, Sender

_SHARE = 1 / 3

_LOG = logging.getLogger("worker.aborting")


class _AbortingSender(Sender):
    chance = random.Random(1)

    def insist(self, call: Call, function: Callable[..., Any], *args: Any) -> None:
        if call is Call.COMMIT and self.chance.random() < _SHARE:
            _LOG.info("abort_injected")
            error = KafkaError(KafkaError.ILLEGAL_GENERATION, txn_requires_abort=True)
            raise Failed(Call.OFFSETS, Action.ABORT, error)
        super().insist(call, function, *args)


class _AbortingProducer(ExactlyOnceProducer):
    def _connect(self) -> Sender:
        sender = super()._connect()
        sender.__class__ = _AbortingSender
        return sender


if __name__ == "__main__":
    connecting.ExactlyOnceProducer = _AbortingProducer  # type: ignore[attr-defined]
    sys.exit(main())
