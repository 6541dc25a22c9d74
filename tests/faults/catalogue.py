"""All faults, in the order in which they are played."""

from __future__ import annotations

from tests.faults import (
    batches,
    brokers,
    clocks,
    commits,
    disks,
    groups,
    processes,
    records,
    states,
    storm,
    topics,
)
from tests.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    *processes.FAULTS,
    *storm.FAULTS,
    *brokers.FAULTS,
    *groups.FAULTS,
    *states.FAULTS,
    *disks.FAULTS,
    *records.FAULTS,
    *batches.FAULTS,
    *topics.FAULTS,
    *clocks.FAULTS,
    *commits.FAULTS,
    *brokers.CONNECTION_FAULTS,
    *processes.LAST_FAULTS,
)
