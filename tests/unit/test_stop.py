"""How long anything may take, before and after the wish to stop."""

from __future__ import annotations

import math

from tests.workers import ManualClock
from worker.loop.hold import LONGEST_WAIT_SECONDS, Hold
from worker.loop.stop import PATIENCE_SECONDS, STOPPING_SECONDS, Stop


def test_an_attempt_has_its_full_time_until_somebody_wants_to_stop() -> None:
    clock = ManualClock(100.0)
    stop = Stop(clock)

    assert stop.deadline(90.0) == 90.0 + PATIENCE_SECONDS
    assert not stop.is_requested
    assert not stop.is_overdue


def test_after_the_wish_every_attempt_ends_at_the_same_time() -> None:
    clock = ManualClock(100.0)
    stop = Stop(clock)
    stop.request()

    assert stop.is_requested
    assert stop.deadline(90.0) == 100.0 + STOPPING_SECONDS
    assert stop.deadline(101.0) == 100.0 + STOPPING_SECONDS
    assert not stop.is_overdue
    clock.now += STOPPING_SECONDS + 0.1
    assert stop.is_overdue


def test_asking_twice_gives_no_more_time() -> None:
    clock = ManualClock(100.0)
    stop = Stop(clock)
    stop.request()
    clock.now += 1.0
    stop.request()

    assert stop.deadline(math.inf) == 100.0 + STOPPING_SECONDS


def test_waiting_ends_with_the_wish() -> None:
    stop = Stop()
    assert not stop.wait(0.0)
    stop.request()

    assert stop.wait(60.0)


def test_a_hold_waits_longer_each_time_up_to_a_limit() -> None:
    hold = Hold(since=0.0)
    waits = [hold.next_wait() for _ in range(50)]

    assert waits == sorted(waits)
    assert waits[0] < 0.01
    assert waits[-1] == LONGEST_WAIT_SECONDS
    assert hold.tries == 50
