"""Where the fold of a partition starts, and what commits remember for that. Pure."""

from worker.recovery.first_start import (
    check_first_commits,
    start_at_earliest,
    start_at_latest,
)
from worker.recovery.metadata import ENDED, CommitMetadata
from worker.recovery.plan import Reach, StartPlan, needed_since_ms, plan_start

__all__ = [
    "ENDED",
    "CommitMetadata",
    "Reach",
    "StartPlan",
    "check_first_commits",
    "needed_since_ms",
    "plan_start",
    "start_at_earliest",
    "start_at_latest",
]
