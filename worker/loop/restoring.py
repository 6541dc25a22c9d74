"""What the loop is told about restoring states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from worker.features import FeatureState
from worker.loop.snapshots import Snapshots
from worker.records import TopicPartition
from worker.recovery import Reach


@dataclass(frozen=True, slots=True)
class Restoring:
    """What taking up a partition needs besides the broker.

    Attributes
    ----------
    new_state
        Makes an empty state for a partition.
    reach
        How far back the transform looks.
    stateless
        Topics whose records leave nothing behind.
    cold_start
        Go on where records that the state needs are gone.
    snapshots
        Shorten the replay; None takes and uses none.
    """

    new_state: Callable[[TopicPartition], FeatureState]
    reach: Reach
    stateless: frozenset[str] = frozenset()
    cold_start: bool = False
    snapshots: Snapshots | None = None
