"""Faults of the topics that are written to: not there, and gone."""

from __future__ import annotations

import time

from confluent_kafka.admin import AdminClient

from tests.faults.fault import Fault
from tests.faults.scene import Scene
from tests.faults.watch import now_ms
from tests.live import Stream
from tests.waiting import wait_until
from worker.errors import ExitCode

#: How long a worker sends a result again before it gives up, and then some, seconds.
_LONGEST_HOLD_SECONDS = 200.0

_PAYMENTS = 1000


def no_scores_topic(scene: Scene, rounds: int) -> None:
    """Not there at the start; then taken from under it, before a first score."""
    assert rounds == 2
    stream = scene.stream
    _delete(stream)
    worker = scene.start()
    assert worker.wait(60) == ExitCode.STATE
    assert stream.scores in worker.events("stopped")[-1]["because"]
    scene.struck += 1

    stream.kafka.create_topics({stream.scores: stream.partitions})
    worker = scene.start()
    worker.await_event("partition_live", stream.partitions)
    _delete(stream)
    scene.traffic.write(_PAYMENTS)
    began = time.monotonic()
    code = worker.wait(_LONGEST_HOLD_SECONDS)
    took = time.monotonic() - began
    assert code in {ExitCode.STATE, ExitCode.BROKER}, code
    assert scene.committed() == 0, "offsets were committed without scores"
    scene.struck += 1
    stream.kafka.create_topics({stream.scores: stream.partitions})
    made_ms = now_ms()
    scene.start()
    scene.seconds += scene.watch.await_after(made_ms)
    stream.await_answers(_PAYMENTS)
    scene.notes.append(
        f"exit {int(ExitCode.STATE)} at the start; exit {code} after {took:.0f} s of "
        "sending again where it goes missing; nothing was committed"
    )


def _delete(stream: Stream) -> None:
    admin = AdminClient({"bootstrap.servers": stream.kafka.bootstrap_servers})
    admin.delete_topics([stream.scores])[stream.scores].result()
    wait_until(
        lambda: stream.scores not in admin.list_topics(timeout=10).topics,
        what="the end of the topic",
        seconds=30,
    )


FAULTS = (
    Fault(
        name="topic",
        title="the scores' topic missing, or deleted",
        play=no_scores_topic,
        rounds=2,
        quick_rounds=2,
    ),
)
