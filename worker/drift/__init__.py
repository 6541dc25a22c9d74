"""What tells live values from those of training: bins, counted in each batch.

Counts only; what the counts mean is computed by whoever reads them. Knows no broker,
no metric and no model.
"""

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
    "slot_counts",
]
