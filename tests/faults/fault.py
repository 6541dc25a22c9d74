"""What a fault is, and the row of the table that playing it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.faults.scene import Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault that can be played.

    Attributes
    ----------
    play
        Makes it strike so many rounds on a scene; fails with AssertionError where the
        worker does not do as it should. Leaves workers running that answer the rest.
    rounds, quick_rounds
        How often it must strike, in full and in the selection of the tests.
    settings
        Of the scene's workers.
    has_own_broker
        It hurts the broker.
    is_proxied
        The workers reach a broker of its own through the proxy.
    """

    name: str
    title: str
    play: Callable[[Scene, int], None]
    rounds: int
    quick_rounds: int = 1
    partitions: int = 4
    settings: Mapping[str, str] = field(default_factory=dict)
    has_own_broker: bool = False
    is_proxied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What came of a fault; without problems, it passed.

    Attributes
    ----------
    struck, wanted
        How often it really struck, and how often it had to.
    seconds_median, seconds_worst
        Until a reader of committed records had the next score, over all strikes and
        partitions; None where the fault stops nothing.
    """

    fault: str
    title: str
    struck: int
    wanted: int
    events: int
    missing: int
    duplicated: int
    out_of_order: int
    different: int
    seconds_median: float | None
    seconds_worst: float | None
    took_seconds: float
    notes: tuple[str, ...]
    problems: tuple[str, ...]
