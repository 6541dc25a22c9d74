"""Gradient-boosted trees of scikit-learn, evaluated all at once for each row.

For each tree a word holds one bit for each of its leaves. A value of a feature lies in
one interval between the thresholds that the trees compare it with, and that interval
rules out some leaves of each tree. What all features leave over is one leaf:

    amount in (57.1, 63.4]    0111 1011 ...   a word for each tree
    hour   in (5, 22]         1101 1110 ...
    and so on                 0101 1010 ...   until one bit is left in each

The leaves' values are then added in the order in which scikit-learn adds them, so the
sums are the same to the last bit. Knows no bundle and no feature's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]

#: By the bits of a word: products of this number and of a power of two all differ in
#: their highest bits (a de Bruijn sequence), so that these tell which leaf is left.
_MULTIPLIERS = {16: 0x09AF, 32: 0x077CB531, 64: 0x022FDD63CC95386D}

#: Rows that are computed side by side; a processor has registers for about as many.
_LANES = 16

#: Rows on which the compiled trees must agree with the model, to the last bit.
_PROBED_ROWS = 2048


class NotCompiled(Exception):
    """The model has something that this form of trees cannot express."""


class _Split(NamedTuple):
    """Where a tree parts its leaves: [first, middle) from [middle, last).

    Values up to the threshold go left, NaN where it says.
    """

    feature: int
    threshold: float
    missing_left: bool
    first: int
    middle: int
    last: int


@dataclass(frozen=True, slots=True)
class _Tree:
    """The values of a tree's leaves from left to right, and its splits."""

    leaves: list[float]
    splits: list[_Split]


def compiled(model: Any) -> Callable[[Floats], Floats]:
    """Return what computes a fitted model's probability of class 1 from (n, k) rows.

    It agrees with the model on rows at and next to the thresholds.

    Raises
    ------
    NotCompiled
        It is not a binary `HistGradientBoostingClassifier`, has categorical features
        or more than 64 leaves in a tree, or gives other probabilities.
    """
    try:
        trees, base = _read(model)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise NotCompiled(f"{type(error).__name__}: {error}") from error
    tables = _Tables.of(trees, base)

    def probability(X: Floats) -> Floats:
        return np.asarray(expit(tables.sums(X)), np.float64)

    probes = _probes(_cuts(trees), int(model.n_features_in_))
    if not np.array_equal(probability(probes), model.predict_proba(probes)[:, 1]):
        raise NotCompiled("it gives other probabilities")
    return probability


def _read(model: Any) -> tuple[list[_Tree], float]:
    """Return the trees, and the sum before the first."""
    if type(model).__name__ != "HistGradientBoostingClassifier":
        raise NotCompiled("it is of another class")
    if model.n_trees_per_iteration_ != 1 or np.any(model.is_categorical_):
        raise NotCompiled("it has more than two classes, or categorical features")
    trees = [_read_tree(step[0].nodes) for step in model._predictors]  # noqa: SLF001
    if not any(tree.splits for tree in trees):
        raise NotCompiled("it has no splits")
    base = float(np.asarray(model._baseline_prediction).item())  # noqa: SLF001
    return trees, base


def _read_tree(nodes: NDArray[Any]) -> _Tree:
    tree = _Tree([], [])

    def visit(index: int) -> None:
        node = nodes[index]
        if node["is_leaf"]:
            tree.leaves.append(float(node["value"]))
            return
        first = len(tree.leaves)
        visit(int(node["left"]))
        middle = len(tree.leaves)
        visit(int(node["right"]))
        feature, threshold = int(node["feature_idx"]), float(node["num_threshold"])
        missing_left, last = bool(node["missing_go_to_left"]), len(tree.leaves)
        tree.splits.append(
            _Split(feature, threshold, missing_left, first, middle, last)
        )

    visit(0)
    return tree


@dataclass(frozen=True, slots=True)
class _Tables:
    """All trees, laid out for the kernel.

    Attributes
    ----------
    features
        (k,) int64: those that are compared with anything.
    thresholds
        (k, 2**steps) float64: those of each, ascending, filled up with infinity.
    words
        (k, 2**steps + 2, trees) unsigned: the leaves left over by each interval; the
        last is for NaN.
    values
        (trees, bits) float64: of each leaf, at the place to which its bit leads.
    """

    features: NDArray[np.int64]
    thresholds: Floats
    words: NDArray[Any]
    values: Floats
    base: float

    @classmethod
    def of(cls, trees: Sequence[_Tree], base: float) -> _Tables:
        """Lay out trees with at most 64 leaves each."""
        most = max(len(tree.leaves) for tree in trees)
        bits = next((bits for bits in _MULTIPLIERS if most <= bits), 0)
        if not bits:
            raise NotCompiled(f"a tree has {most} leaves")
        cuts = _cuts(trees)
        width = 1 << max(map(len, cuts.values())).bit_length()
        thresholds = np.full((len(cuts), width), np.inf)
        words = np.empty((len(cuts), width + 2, len(trees)), f"u{bits // 8}")
        words[:] = [(1 << len(tree.leaves)) - 1 for tree in trees]
        for k, (feature, ascending) in enumerate(cuts.items()):
            thresholds[k, : len(ascending)] = ascending
            for t, tree in enumerate(trees):
                for split in tree.splits:
                    if split.feature == feature:
                        _rule_out(words[k, :, t], split, ascending)
        features = np.array(list(cuts), np.int64)
        return cls(features, thresholds, words, _placed(trees, bits), base)

    def sums(self, X: Floats) -> Floats:
        """Return the (n,) sums over all trees of (n, n_features) rows."""
        bits = self.values.shape[1]
        sums = np.empty(len(X))
        tables = (self.features, self.thresholds, self.words, self.values)
        place = (_MULTIPLIERS[bits], 2**bits - 1, _shift(bits))
        words = tuple(map(np.uint64, place))
        _add_up(np.ascontiguousarray(X), tables, words, self.base, sums)
        return sums


def _cuts(trees: Sequence[_Tree]) -> dict[int, list[float]]:
    """Return the thresholds of each feature that has any, ascending."""
    found: dict[int, set[float]] = {}
    for tree in trees:
        for split in tree.splits:
            found.setdefault(split.feature, set()).add(split.threshold)
    return {feature: sorted(of) for feature, of in sorted(found.items())}


def _rule_out(words: NDArray[Any], split: _Split, ascending: list[float]) -> None:
    """Clear the leaves on the other side of a split, for each interval.

    Interval i holds the values above i thresholds; what is not above goes left.
    """
    left = (1 << split.middle) - (1 << split.first)
    right = (1 << split.last) - (1 << split.middle)
    every = (1 << 8 * words.itemsize) - 1
    above = ascending.index(split.threshold) + 1
    words[:above] &= words.dtype.type(every ^ right)
    words[above:-1] &= words.dtype.type(every ^ left)
    words[-1] &= words.dtype.type(every ^ (right if split.missing_left else left))


def _placed(trees: Sequence[_Tree], bits: int) -> Floats:
    values = np.zeros((len(trees), bits))
    for t, tree in enumerate(trees):
        for leaf, value in enumerate(tree.leaves):
            product = (_MULTIPLIERS[bits] << leaf) & (2**bits - 1)
            values[t, product >> _shift(bits)] = value
    return values


def _shift(bits: int) -> int:
    """How far the highest bits of a product are from being a place: 16 have four."""
    return bits - bits.bit_length() + 1


def _probes(cuts: dict[int, list[float]], feature_count: int) -> Floats:
    """Rows of thresholds, of what is just above and below them, and of no value."""
    random = np.random.default_rng(0)
    X = random.standard_normal((_PROBED_ROWS, feature_count))
    for feature, ascending in cuts.items():
        at = np.array(ascending)
        near = (at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf))
        special = [np.nan, np.inf, -np.inf, 0.0, -0.0]
        X[:, feature] = random.choice(np.concatenate([*near, special]), _PROBED_ROWS)
    return X


@njit(cache=True, error_model="numpy")
def _add_up(
    X: Floats,
    tables: tuple[NDArray[np.int64], Floats, NDArray[Any], Floats],
    place: tuple[np.uint64, ...],
    base: float,
    sums: Floats,
) -> None:
    """Write the sum over all trees of each row; the tables are those of `_Tables`.

    Rows go in step, `_LANES` at a time: the searches and the additions of one row wait
    for each other, those of several do not. Each row is still summed tree by tree, in
    the order in which scikit-learn does.
    """
    features, thresholds, words, values = tables
    multiplier, kept, shift = place
    left_over = np.empty((_LANES, words.shape[2]), words.dtype)
    interval, lane = np.empty(_LANES, np.int64), np.empty(_LANES)
    last = len(X) - 1
    for first in range(0, len(X), _LANES):
        left_over[:] = kept
        count = min(_LANES, len(X) - first)
        for k in range(len(features)):
            for r in range(_LANES):
                # Lanes behind the last row repeat it.
                lane[r] = X[min(first + r, last), features[k]]
            _find_intervals(thresholds[k], lane, interval)
            for r in range(count):
                at = interval[r]
                for t in range(words.shape[2]):
                    left_over[r, t] &= words[k, at, t]
        lane[:] = base
        for t in range(words.shape[2]):
            for r in range(_LANES):
                product = (np.uint64(left_over[r, t]) * multiplier) & kept
                lane[r] += values[t, product >> shift]
        sums[first : first + count] = lane[:count]


@njit(cache=True, error_model="numpy")
def _find_intervals(
    thresholds: Floats, lane: Floats, interval: NDArray[np.int64]
) -> None:
    """How many thresholds lie below each value; behind all of them the place of NaN."""
    interval[:] = 0
    step = len(thresholds) >> 1
    while step:
        # Without a branch: nobody could predict it.
        for r in range(_LANES):
            at = interval[r]
            interval[r] = at + step * (thresholds[at + step - 1] < lane[r])
        step >>= 1
    for r in range(_LANES):
        interval[r] += thresholds[interval[r]] < lane[r]
        if np.isnan(lane[r]):
            interval[r] = len(thresholds) + 1
