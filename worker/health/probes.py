"""What the probes of a supervisor are told: started, alive, ready.

Alive depends on nothing but this process: a restart because of a slow broker, of lag
or of a bad model would only start a storm of rebalances.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Protocol

from worker.health.server import Answer

#: Longest silence while the loop waits for records, seconds; a poll takes a tenth.
POLL_LIMIT_SECONDS = 30.0

#: Longest time for a batch, seconds: more than the watchdog gives to a commit, so that
#: it speaks first and leaves the stacks behind.
BATCH_LIMIT_SECONDS = 150.0


class Pulse(Protocol):
    """What the loop shows of itself."""

    @property
    def seconds_since_poll(self) -> float | None:
        """How long ago a poll last returned; None before the first."""
        ...

    @property
    def is_in_batch(self) -> bool:
        """Whether what the last poll brought is still being answered."""
        ...


class Health:
    """Answers the probes; told from outside how far the start has come.

    Parameters
    ----------
    until_ready
        What `model_ready` ends, as a sentence.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        until_ready: str = "the model has not reproduced its golden events yet",
    ) -> None:
        self._clock = clock
        self._until_ready = until_ready
        self._pulse: Pulse | None = None
        self._watched_since = 0.0
        self._is_verified = False
        self._is_model_ready = False
        self._is_stopping = False

    def bundle_verified(self) -> None:
        """Note that the bundle in use is the one that was published."""
        self._is_verified = True

    def model_ready(self) -> None:
        """Note that the model has reproduced its golden events."""
        self._is_model_ready = True

    def watch(self, pulse: Pulse) -> None:
        """Follow the loop, which begins now."""
        self._pulse = pulse
        self._watched_since = self._clock()

    def stopping(self) -> None:
        """Note that the worker takes no more records."""
        self._is_stopping = True

    def startup_problems(self) -> list[str]:
        """Return what the start still waits for."""
        return [] if self._is_verified else ["the model bundle is not verified yet"]

    def liveness_problems(self) -> list[str]:
        """Return why only a restart can help."""
        if self._pulse is None:
            return []
        silence = self._pulse.seconds_since_poll
        if silence is None:
            silence = self._clock() - self._watched_since
            limit, what = BATCH_LIMIT_SECONDS, "no poll has returned"
        elif self._pulse.is_in_batch:
            limit, what = BATCH_LIMIT_SECONDS, "a batch has been in progress"
        else:
            limit, what = POLL_LIMIT_SECONDS, "a poll has been waiting"
        return [f"{what} for {silence:.0f} s"] if silence > limit else []

    def readiness_problems(self) -> list[str]:
        """Return why a rollout should not go on to the next worker yet.

        A worker without partitions is ready: there may be more workers than those.
        """
        problems = self.startup_problems()
        if not self._is_model_ready:
            problems.append(self._until_ready)
        if self._pulse is None or self._pulse.seconds_since_poll is None:
            problems.append("no poll has returned yet")
        if self._is_stopping:
            problems.append("the worker is stopping")
        return problems

    def routes(self) -> Mapping[str, Callable[[], Answer]]:
        """Return the paths to be served."""
        return {
            "/livez": lambda: _answer(self.liveness_problems()),
            "/readyz": lambda: _answer(self.readiness_problems()),
            "/startupz": lambda: _answer(self.startup_problems()),
        }


def _answer(problems: list[str]) -> Answer:
    status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
    body = {"status": "failing" if problems else "ok", "because": problems}
    return Answer(status, "application/json", json.dumps(body).encode() + b"\n")
