"""All faults, in the order in which they are played."""

from __future__ import annotations

from tests.faults import brokers, commits, groups, processes, records, states
from tests.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    *processes.FAULTS,
    *brokers.FAULTS,
    *groups.FAULTS,
    *states.FAULTS,
    *records.FAULTS,
    *commits.FAULTS,
    *brokers.CONNECTION_FAULTS,
    *processes.LAST_FAULTS,
)
