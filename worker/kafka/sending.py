"""One producer of the client, with time limits and one kind of error.

Owns how long a call is repeated; what a failure means for a commit is its caller's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from worker.errors import BrokerFailed, Fatal, Fenced
from worker.kafka.faults import Action, Call, action_for
from worker.records import Output

#: Longest time inside one call of the client, seconds: between two, a signal is seen.
SLICE_SECONDS = 1.0

#: What follows when a call has been repeated for long enough.
_WHEN_OUT_OF_PATIENCE = {
    Call.INIT: Action.GIVE_UP,
    Call.BEGIN: Action.REPLACE,
    Call.PRODUCE: Action.ABORT,
    Call.OFFSETS: Action.ABORT,
    Call.COMMIT: Action.REPLACE,
    Call.ABORT: Action.REPLACE,
    Call.OFFSETS_ALONE: Action.ABORT,
}


Deadline = Callable[[float], float]


class Failed(Exception):
    """A call of the client failed for good, and this is what to do about it."""

    def __init__(self, call: Call, action: Action, error: KafkaError):
        super().__init__(f"{call.value}: {error.str()} ({error.name()})")
        self.call = call
        self.action = action

    def as_fatal(self) -> Fatal:
        """Return the error that ends the process."""
        if self.action is Action.FENCED:
            return Fenced(
                "another process commits under this instance name, or this one was "
                f"silent for too long ({self}); give each worker its own FRAUD_INSTANCE"
            )
        return BrokerFailed(f"the broker does not take commits: {self}")


class Sender:
    """A producer whose every call ends in time; raises Failed and nothing else.

    Parameters
    ----------
    deadline
        Given when an attempt began, tells until when its calls may be repeated: not
        for long once the worker is to stop. Monotonic seconds.
    """

    def __init__(self, properties: Mapping[str, Any], deadline: Deadline):
        self.vendor = Producer(dict(properties))
        self._deadline = deadline
        self._began = time.monotonic()

    def begin(self) -> None:
        """Begin an attempt: all its calls together share one deadline."""
        self._began = time.monotonic()

    def seconds_left(self, limit: float = math.inf) -> float:
        """Return for how long the attempt may go on, at most so long; 0 at its end."""
        return min(limit, max(0.0, self._deadline(self._began) - time.monotonic()))

    def produce(self, outputs: Sequence[Output]) -> None:
        """Queue the outputs in their order."""
        # By position: keywords cost a third more for each record.
        produce: Callable[..., None] = self.vendor.produce
        for topic, value, key, partition, headers, stamp in outputs:
            some = headers or None
            while True:
                try:
                    produce(topic, value, key, partition, None, None, stamp, some)
                    break
                except BufferError:
                    self._make_room()
                except KafkaException as error:
                    raise _failed(Call.PRODUCE, error) from error

    def insist(self, call: Call, function: Callable[..., Any], *args: Any) -> None:
        """Call until it works, fails for good, or patience ends."""
        while True:
            try:
                function(*args)
            except KafkaException as error:
                failed = _failed(call, error)
                if failed.action is Action.REPEAT:
                    if self.seconds_left():
                        continue
                    failed.action = _WHEN_OUT_OF_PATIENCE[call]
                raise failed from error
            else:
                return

    def serve(self) -> None:
        """Let the client deliver what it has to say."""
        self._deliver(self.vendor.poll, 0)

    def flush(self, limit_seconds: float) -> bool:
        """Wait for what is on its way; False where some of it still is."""
        return self._deliver(self.vendor.flush, self.seconds_left(limit_seconds)) == 0

    def _make_room(self) -> None:
        """Wait until something of what is queued has been sent."""
        if not self.seconds_left():
            full = KafkaError(KafkaError._QUEUE_FULL)
            raise Failed(Call.PRODUCE, Action.ABORT, full)
        self._deliver(self.vendor.poll, 0.01)

    def _deliver(self, function: Callable[[float], int], seconds: float) -> int:
        try:
            return function(seconds)
        except KafkaException as error:
            # A fatal error is raised by whatever call happens to deliver it.
            raise _failed(Call.PRODUCE, error) from error

    def discard(self) -> None:
        """Drop what is queued; nothing of it may be sent any more."""
        self.vendor.purge()


def _failed(call: Call, error: KafkaException) -> Failed:
    fault = error.args[0]
    return Failed(call, action_for(fault, call), fault)
