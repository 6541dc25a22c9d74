"""References of a few features, for tests that need one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.reference import binned
from worker.drift import Baseline, Reference

SCORES = Baseline((0.1, 0.5), 0.0, 1.0, (90, 8, 2, 0, 0))


def reference_of(names: Sequence[str], *, seed: int = 0) -> Reference:
    """Each feature is normal with mean 10; every tenth value is missing."""
    values = np.random.default_rng(seed).normal(10, 1, 5_000)
    values[::10] = np.nan
    return Reference(dict.fromkeys(names, binned(values)), SCORES, 0.02)
