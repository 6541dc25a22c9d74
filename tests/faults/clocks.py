"""Faults of time: clocks that are set, offsets that change, floods of the future."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter

from tests.faults.commits import OtherProgram
from tests.faults.fault import Fault
from tests.faults.scene import RATE, Scene
from tests.faults.watch import PATIENCE_SECONDS, now_ms
from tests.live import Stream, Traffic
from tests.marks import marked_payment
from tests.waiting import wait_until

#: How producers write one moment: clocks an hour fast and slow, summer and winter time.
_HOUR = dt.timedelta(hours=1)
_OFFSETS = (dt.UTC, dt.timezone(_HOUR), dt.timezone(2 * _HOUR))

#: Of a flood, so many in a row lie an hour in the future.
_FLOOD = 200
_FLOOD_EVERY = 2000


class JumpingTraffic(Traffic):
    """Payments of clocks that are an hour slow, right, or, in floods, an hour fast."""

    def __init__(self, stream: Stream, seed: int = 1):
        super().__init__(stream, seed)
        self.ahead = 0

    def _write_one(self) -> None:
        self.count += 1
        is_ahead = self.count % _FLOOD_EVERY < _FLOOD
        self.ahead += is_ahead
        hours = 1 if is_ahead else self._random.choice((-1, 0, 0))
        moment = dt.datetime.now(self._random.choice(_OFFSETS)) + hours * _HOUR
        fields = marked_payment(
            self._random, self.count, moment.isoformat(timespec="milliseconds")
        )
        self._producer.produce(
            self._topic, json.dumps(fields).encode(), fields["customer_id"]
        )


def jumping_clocks(scene: Scene, rounds: int) -> None:
    """The worker's own clock is set, and those of the producers are."""
    traffic = scene.traffic = JumpingTraffic(scene.stream)
    worker = OtherProgram(scene, "tests.faults.jumping")
    with traffic.flowing(2 * RATE):
        scene.await_scores()
        began_ms = now_ms()
        wait_until(
            lambda: (
                len(worker.events("clock_jumped")) >= rounds
                and traffic.ahead > 3 * _FLOOD
            ),
            what=f"{rounds} jumps and three floods",
            seconds=PATIENCE_SECONDS,
        )
        scene.note_silences(began_ms)
    scene.stream.await_answers(traffic.count)
    headers = scene.stream.dead_letter_headers()
    reasons = Counter(letter["dlq.reason"] for letter in headers)
    assert reasons == {"time_ahead": traffic.ahead}, (reasons, traffic.ahead)
    scene.struck = len(worker.events("clock_jumped"))
    scene.notes.append(
        f"an hour each; {traffic.ahead} payments of the future were dead letters, in "
        f"floods of {_FLOOD}; offsets changed as between summer and winter time"
    )


FAULTS = (
    Fault(
        name="clock",
        title="clocks set by an hour, floods of the future",
        play=jumping_clocks,
        rounds=20,
        quick_rounds=5,
    ),
)
