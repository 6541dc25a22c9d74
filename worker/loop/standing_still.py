"""Partitions that stand still because nearly all of their records are rejected."""

from __future__ import annotations

import logging
from collections.abc import Collection
from itertools import chain

from worker.errors import DeadLetterLimitExceeded
from worker.loop.dead_letters import DeadLetterCounts
from worker.loop.limits import DeadLetterLimit
from worker.loop.ports import Consumer
from worker.pipeline import BatchResult
from worker.records import TopicPartition

_LOG = logging.getLogger(__name__)


class StandingStill:
    """Stops partitions that are over the limit; nothing but a move starts them again.

    Attributes
    ----------
    places
        Those that stand still.
    """

    def __init__(self, consumer: Consumer, limit: DeadLetterLimit):
        self._consumer = consumer
        self._counts = DeadLetterCounts(limit)
        self.places: set[TopicPartition] = set()

    def check(self, result: BatchResult) -> None:
        """Let partitions stand still that are over the limit."""
        over = self._counts.exceeded(result)
        for place in over:
            facts = {"topic": place.topic, "partition": place.partition}
            _LOG.error("partition_stands_still", extra=facts)
        self._consumer.pause(over)
        self.places.update(over)

    def forget(self, places: Collection[TopicPartition]) -> None:
        """Start anew for partitions that come back."""
        self._counts.forget(places)
        self.places.difference_update(places)

    def end_if_all(self, *held: Collection[TopicPartition]) -> None:
        """End the worker when nothing that it holds of a topic goes on.

        Raises
        ------
        DeadLetterLimitExceeded
            All of those partitions of a topic stand still.
        """
        for topic in {place.topic for place in self.places}:
            of_topic = sorted({p for p in chain(*held) if p.topic == topic})
            if not self.places.issuperset(of_topic):
                continue
            names = ", ".join(f"{p.topic}/{p.partition}" for p in of_topic)
            raise DeadLetterLimitExceeded(
                f"nearly every record of {names} is rejected. The dead letters say "
                "why; mend what produces them, then start again."
            )
