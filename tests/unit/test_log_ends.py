"""The ends of partitions are told by the broker or not at all, never made up."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as VendorPartition
from confluent_kafka.admin import AdminClient

from tests.workers import ManualClock
from worker.kafka import questions
from worker.kafka.ends import ASK_SECONDS, LogEnds
from worker.records import LogBounds, TopicPartition

PLACE = TopicPartition("transactions", 3)


@dataclass
class Told:
    """An answer as the client gives it."""

    offset: int
    timestamp: int = -1


@dataclass
class ScriptedAdmin:
    """Answers by a script, at once; None leaves a question open."""

    script: deque[int | KafkaException | None] = field(default_factory=deque)
    asked: int = 0

    def list_offsets(
        self, places: Mapping[VendorPartition, object], **_: object
    ) -> dict[VendorPartition, Future[Any]]:
        self.asked += 1
        answer = self.script.popleft()
        return {place: _future(answer) for place in places}

    def list_topics(self, **_: object) -> None:
        """Look for the leaders again; there is but one broker."""


def _future(answer: int | KafkaException | None) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(answer, KafkaException):
        future.set_exception(answer)
    elif answer is not None:
        future.set_result(Told(answer))
    return future


class KnowsNothing:
    """A client that has not fetched yet."""

    def get_watermark_offsets(self, *_: object, **__: object) -> tuple[int, int]:
        return OFFSET_INVALID, OFFSET_INVALID


def refusal() -> KafkaException:
    return KafkaException(KafkaError(KafkaError.FENCED_LEADER_EPOCH))


class Asking:
    """Ends that are asked for by a clock that a test moves."""

    def __init__(self, *script: int | KafkaException | None):
        self.clock = ManualClock()
        self.admin = ScriptedAdmin(deque(script))
        self.ends = LogEnds(cast("AdminClient", self.admin), self.clock)

    def lags(self, *, after: float = 0.0) -> dict[TopicPartition, int]:
        self.clock.now += after
        return self.ends.lags(cast("Consumer", KnowsNothing()), {PLACE: 40})


def test_an_answer_is_of_the_moment_at_which_it_was_asked_for() -> None:
    asking = Asking(42)
    assert asking.lags() == {}

    assert asking.lags(after=3.0) == {PLACE: 2}
    assert asking.ends.told_at == {PLACE: 1000.0}


def test_it_is_asked_again_after_a_while_and_not_before() -> None:
    asking = Asking(42, 45)
    asking.lags()
    asking.lags(after=ASK_SECONDS - 1)
    early = asking.admin.asked
    asking.lags(after=1.0)

    assert [early, asking.admin.asked] == [1, 2]
    assert asking.lags() == {PLACE: 5}
    assert asking.ends.told_at == {PLACE: 1000.0 + ASK_SECONDS}


def test_an_open_question_is_not_asked_twice() -> None:
    asking = Asking(None)
    for _ in range(5):
        asking.lags(after=ASK_SECONDS)

    assert asking.admin.asked == 1
    assert asking.ends.told_at == {}


@pytest.mark.parametrize("silence", [OFFSET_INVALID, refusal()], ids=str)
def test_what_is_no_answer_leaves_the_last_one_as_it_was(
    silence: int | KafkaException,
) -> None:
    asking = Asking(42, silence, silence)
    for _ in range(3):
        asking.lags(after=ASK_SECONDS)

    assert asking.lags() == {PLACE: 2}
    assert asking.ends.told_at == {PLACE: 1000.0 + ASK_SECONDS}


def test_partitions_that_are_not_read_any_more_are_forgotten() -> None:
    asking = Asking(42)
    asking.lags()
    asking.lags()
    asking.clock.now += ASK_SECONDS
    asking.ends.lags(cast("Consumer", KnowsNothing()), {})

    assert asking.ends.told_at == {}


def test_bounds_are_asked_for_until_they_are_told() -> None:
    """The client reports a timeout as an answer with an impossible offset."""
    admin = ScriptedAdmin(deque([OFFSET_INVALID, 0, OFFSET_INVALID, refusal(), 42]))
    bounds = questions.log_bounds(
        cast("AdminClient", admin), [PLACE], lambda *_: pytest.fail("nothing is gone")
    )

    assert bounds == {PLACE: LogBounds(0, 42, None)}
    assert admin.asked == 5
