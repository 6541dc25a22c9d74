"""The life of a worker, and which step may follow which."""

from __future__ import annotations

import enum


class Phase(enum.Enum):
    """Where in its life a worker is.

        STARTING --> RUNNING <--> HOLDING
            |           |            |
            +-----------+------------+--> STOPPING --> STOPPED

    STARTING: nothing has been assigned yet.
    HOLDING: a result could not be committed. It is sent again while polling goes on;
    what the polls return waits in the backlog.
    """

    STARTING = "starting"
    RUNNING = "running"
    HOLDING = "holding"
    STOPPING = "stopping"
    STOPPED = "stopped"

    def may_become(self, other: Phase) -> bool:
        """Whether that phase may follow this one."""
        return other in _FOLLOWING[self]


_FOLLOWING = {
    Phase.STARTING: {Phase.RUNNING, Phase.STOPPING},
    Phase.RUNNING: {Phase.HOLDING, Phase.STOPPING},
    Phase.HOLDING: {Phase.RUNNING, Phase.STOPPING},
    Phase.STOPPING: {Phase.STOPPED},
    Phase.STOPPED: set[Phase](),
}
