"""What tells live values from those of training: bins, counted in each batch.

Knows no broker, no metric and no model.
"""

from worker.drift.comparing import bin_count, critical_factor, null_mean, psi
from worker.drift.counting import BinCounter, BinCounts
from worker.drift.reference import (
    MAX_BINS,
    MISSING,
    SCORE,
    UNKNOWN,
    WINDOWS,
    Baseline,
    Reference,
    slot_counts,
)

__all__ = [
    "MAX_BINS",
    "MISSING",
    "SCORE",
    "UNKNOWN",
    "WINDOWS",
    "Baseline",
    "BinCounter",
    "BinCounts",
    "Reference",
    "bin_count",
    "critical_factor",
    "null_mean",
    "psi",
    "slot_counts",
]
