"""The worker's loop; knows the broker only through its two protocols."""

from worker.loop.aligning import Aligning
from worker.loop.limits import DeadLetterLimit, Limits
from worker.loop.phase import Phase
from worker.loop.ports import Consumer, Producer
from worker.loop.reporting import Report
from worker.loop.restoring import Restoring
from worker.loop.snapshots import SnapshotPolicy, Snapshots
from worker.loop.stop import Stop
from worker.loop.worker import Worker

__all__ = [
    "Aligning",
    "Consumer",
    "DeadLetterLimit",
    "Limits",
    "Phase",
    "Producer",
    "Report",
    "Restoring",
    "SnapshotPolicy",
    "Snapshots",
    "Stop",
    "Worker",
]
