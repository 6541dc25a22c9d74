"""Where bundle and features meet: a model that is proven to score as it was trained.

Knows no broker and no record beyond the golden ones.
"""

from worker.scoring.golden import (
    Golden,
    GoldenLabel,
    GoldenRecord,
    check_golden,
    make_golden,
)
from worker.scoring.loading import LoadedModel, deserialise, load_model
from worker.scoring.reasons import Reasons
from worker.scoring.scorer import Scorer, describe

__all__ = [
    "Golden",
    "GoldenLabel",
    "GoldenRecord",
    "LoadedModel",
    "Reasons",
    "Scorer",
    "check_golden",
    "describe",
    "deserialise",
    "load_model",
    "make_golden",
]
