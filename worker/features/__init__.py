"""The shared transform: exact sliding windows, computed alike offline and online.

Pure: numpy, numba and the standard library. Knows no broker, clock, metric or model.
"""

from worker.features.digest import row_digests
from worker.features.history import HistoryTransform
from worker.features.spec import Spec
from worker.features.state import FeatureState, StateSlice
from worker.features.transfer import event_counts
from worker.features.transform import FeatureRows, FeatureTransform, Run

__all__ = [
    "FeatureRows",
    "FeatureState",
    "FeatureTransform",
    "HistoryTransform",
    "Run",
    "Spec",
    "StateSlice",
    "event_counts",
    "row_digests",
]
