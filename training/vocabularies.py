"""Vocabularies of categories: what the training window had, the most frequent first.

Owns the learning. The codes are computed by the transform that the worker runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from worker.features import Spec
from worker.features.categories import CategoryCodes, category_texts
from worker.features.declarations import CategoryFeature
from worker.records import Column, EventBatch


def learn_vocabularies(spec: Spec, events: EventBatch, rows: slice) -> Spec:
    """Return the spec with the vocabularies that some rows teach.

    No label has a say in them. One that the author has written into the spec stays.
    """
    learnt = {
        feature.name: most_frequent(events.columns[feature.field][rows], feature)
        for feature in spec.unlearnt
    }
    return spec.with_vocabularies(learnt) if learnt else spec


def most_frequent(values: Column, feature: CategoryFeature) -> tuple[str, ...]:
    """Return the values that come most often; of equal ones those first in order."""
    counts = Counter(text for text in category_texts(values) if text is not None)
    ranking = sorted(counts, key=lambda text: (-counts[text], text))
    return tuple(ranking[: feature.max_values])


def without_vocabularies(spec: Spec) -> Spec:
    """Return a spec that can be computed before anything is learnt.

    To it all categories are unknown.
    """
    if not spec.unlearnt:
        return spec
    return spec.with_vocabularies({feature.name: () for feature in spec.unlearnt})


def learnt_columns(
    spec: Spec, learnt: Spec, events: EventBatch
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield the places in X, and the (n,) codes, of what was learnt for a spec."""
    names = {feature.name for feature in spec.unlearnt}
    for feature in learnt.features:
        if feature.name in names and feature.output:
            assert isinstance(feature, CategoryFeature)
            codes = CategoryCodes(feature.vocabulary or ())
            column = codes.column(events.columns[feature.field])
            yield learnt.feature_names.index(feature.name), column
