"""Whether two models answer alike on the same transactions.

Owns the comparison of features, scores and decisions. Trains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.featurize import feature_matrix
from training.progress import ProgressCallback, quiet
from training.split import LabelledHistory
from worker.codec import published_scores
from worker.records import EventBatch
from worker.scoring import LoadedModel

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Where two models differ on n transactions.

    Attributes
    ----------
    only_first, only_second
        Features that one of them does not have; no difference in itself.
    different_features
        Feature to number of rows whose values are not the same double.
    largest_difference
        Of two published scores of a transaction.
    different_decisions
        Transactions flagged by one of them only.
    """

    rows: int
    shared: tuple[str, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    different_features: Mapping[str, int]
    largest_difference: float
    mean_difference: float
    flagged_first: int
    flagged_second: int
    different_decisions: int

    def is_equivalent(self, tolerance: float) -> bool:
        """Say whether nobody who reads the scores could tell the models apart."""
        return (
            not self.different_features
            and self.largest_difference <= tolerance
            and self.different_decisions == 0
        )


def compare(
    first: LoadedModel,
    second: LoadedModel,
    events: EventBatch,
    *,
    history: LabelledHistory | None = None,
    progress: ProgressCallback = quiet,
) -> Comparison:
    """Score the same events with two models that accept the same fields.

    Parameters
    ----------
    history
        The events with their labels, where a model looks at labels.
    """
    first_X, second_X = (
        feature_matrix(model.spec, events, history=history, progress=progress)
        for model in (first, second)
    )
    shared = tuple(
        n for n in first.spec.feature_names if n in second.spec.feature_names
    )
    first_scores = published_scores(first.scorer.score(first_X))
    second_scores = published_scores(second.scorer.score(second_X))
    distance = np.abs(first_scores - second_scores)
    first_flags = first_scores >= first.threshold
    second_flags = second_scores >= second.threshold
    return Comparison(
        rows=len(events),
        shared=shared,
        only_first=_without(first.spec.feature_names, shared),
        only_second=_without(second.spec.feature_names, shared),
        different_features=_different(first, first_X, second, second_X, shared),
        largest_difference=float(distance.max(initial=0.0)),
        mean_difference=float(distance.mean()) if len(distance) else 0.0,
        flagged_first=int(first_flags.sum()),
        flagged_second=int(second_flags.sum()),
        different_decisions=int((first_flags != second_flags).sum()),
    )


def _without(names: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in others)


def _different(
    first: LoadedModel,
    first_X: Floats,
    second: LoadedModel,
    second_X: Floats,
    shared: tuple[str, ...],
) -> dict[str, int]:
    """Count the rows in which a shared feature differs, bit for bit."""
    counts = {}
    for name in shared:
        ours = first_X[:, first.spec.feature_names.index(name)]
        theirs = second_X[:, second.spec.feature_names.index(name)]
        count = int((ours.view(np.int64) != theirs.view(np.int64)).sum())
        if count:
            counts[name] = count
    return counts
