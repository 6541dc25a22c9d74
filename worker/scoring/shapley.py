"""Shapley values of a sum of trees: what each feature added to one raw score.

The game: features in a coalition have their value, so a node sends the row where it
belongs; at a node that looks at any other feature, the row goes both ways, in the
proportion in which the training data went. What a leaf gives to a coalition S is
then a product over the features of its path, z if a feature is outside of S, and o
inside, where o is 1 if the row follows the path there and 0 if it does not.

1. Where each feature is inside with probability t, the product's mean is that of
   z + t (o - z) over the features: a polynomial in t.
2. A feature's Shapley value is the integral over t, from 0 to 1, of that product
   without the feature's own factor, times o - z [1]_.
3. Gauss's nodes integrate a polynomial of degree 2 Q - 1 exactly with Q of them, so
   half as many nodes as there are features on the longest path suffice.
4. Products are carried down a tree and sums up again, so a row costs one pass over
   the nodes, with neither subsets nor recursion [2]_. Every factor is positive, so
   nothing cancels.

References
----------
.. [1] Owen, "Multilinear extensions of games", Management Science 18 (1972).
.. [2] Yu, Xu, Bifet, Read, "Linear TreeSHAP", NeurIPS 2022; the game is that of
   Lundberg et al., "From local explanations to global understanding with
   explainable AI for trees", Nature Machine Intelligence 2 (2020).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from worker.scoring.tree_sums import LEAF, Tree, TreeSum

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_Item = TypeVar("_Item", bound=np.generic)

#: A place that is never counted from the end of an array, so nobody need ask.
_Place = np.uint64

#: Nodes of Gauss are taken four at a time, since a loop of known length is unrolled;
#: what is missing to that weighs nothing.
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class _Edges:
    """What is known of each node's edge from its parent before any row is.

    Attributes
    ----------
    parent
        (n,) int64.
    same
        (n,) int64: the nearest node above whose edge asks for the same feature; the
        root, at 0, where there is none, for its o and z are 1.
    outside
        (n,) float64: the share of the training data that takes this edge and all
        those of the same feature above it: the z of a path that ends here.
    different
        The most features on one path.
    """

    parent: Ints
    same: Ints
    outside: Floats
    different: int


class TreeContributions:
    """What each feature added to the raw score of a row.

    Attributes
    ----------
    base
        Raw score of a row about which nothing is known; base and contributions add
        up to the row's raw score.
    """

    def __init__(self, model: TreeSum):
        self.base = model.constant + sum(map(_mean, model.trees))
        edges = [_edges(tree) for tree in model.trees]
        sizes = [len(tree.feature) for tree in model.trees]
        self._is_float32 = model.is_float32
        self._widest = max(sizes)
        self._firsts = np.array([0, *accumulate(sizes)], np.int64)
        self._splits = (
            _joined(tree.feature for tree in model.trees),
            _joined(tree.threshold for tree in model.trees),
            _joined(tree.is_missing_left for tree in model.trees),
            _joined(tree.left for tree in model.trees),
            _joined(tree.value for tree in model.trees),
        )
        self._paths = (
            _joined(edge.parent for edge in edges),
            _joined(edge.same for edge in edges),
            _joined(edge.outside for edge in edges),
        )
        # Half the degree, rounded up: see point 3 above.
        count = max((max(edge.different for edge in edges) + 1) // 2, 1)
        nodes, weights = np.polynomial.legendre.leggauss(count)
        rest = (0, -count % _AT_ONCE)
        self._nodes = np.pad((nodes + 1.0) / 2.0, rest)
        self._weights = np.pad(weights / 2.0, rest)

    def of(self, X: Floats) -> Floats:
        """Return (n, n_features) float64 for as many rows of features."""
        seen = X.astype(np.float32).astype(np.float64) if self._is_float32 else X
        found = np.zeros(X.shape)
        sums = np.empty(self._widest * len(self._nodes))
        _add_trees(
            np.ascontiguousarray(seen),
            self._firsts,
            self._splits,
            self._paths,
            (self._nodes, self._weights),
            (sums, sums.copy(), sums.copy(), np.empty(self._widest)),
            found,
        )
        return found


def _joined(parts: Iterable[NDArray[_Item]]) -> NDArray[_Item]:
    return np.concatenate(list(parts))


def _mean(tree: Tree) -> float:
    return float(tree.value @ tree.weight / tree.weight[0])


def _edges(tree: Tree) -> _Edges:
    """Walk down a tree once; a child comes after its parent."""
    count = len(tree.feature)
    parent, same = np.zeros(count, np.int64), np.zeros(count, np.int64)
    outside = np.ones(count)
    on_path: list[dict[int, int]] = [{} for _ in range(count)]
    for node in np.flatnonzero(tree.feature != LEAF).tolist():
        feature = int(tree.feature[node])
        above = on_path[node].get(feature, 0)
        for child in (int(tree.left[node]), int(tree.right[node])):
            parent[child], same[child] = node, above
            share = tree.weight[child] / tree.weight[node]
            outside[child] = outside[above] * share
            on_path[child] = {**on_path[node], feature: child}
    return _Edges(parent, same, outside, max(map(len, on_path)))


@njit(cache=True, error_model="numpy")
def _add_trees(
    X: Floats,
    firsts: Ints,
    splits: tuple[Ints, Floats, Bools, Ints, Floats],
    paths: tuple[Ints, Ints, Floats],
    quadrature: tuple[Floats, Floats],
    scratch: tuple[Floats, Floats, Floats, Floats],
    found: Floats,
) -> None:
    """Add what each tree gives to the contributions of each row.

    X, found : (rows, n_features). scratch : for the nodes of the largest tree, the
    products, their sums and the inverse factors of the edges, (nodes * Q,), and the o
    of each edge, (nodes,).
    """
    for tree in range(len(firsts) - 1):
        first, last = firsts[tree], firsts[tree + 1]
        for row in range(len(X)):
            _descend(X[row], first, last, splits, paths, quadrature[0], scratch)
            _ascend(first, last, splits[0], paths, quadrature[1], scratch, found[row])


@njit(cache=True, error_model="numpy", inline="always")
def _descend(
    x: Floats,
    first: int,
    last: int,
    splits: tuple[Ints, Floats, Bools, Ints, Floats],
    paths: tuple[Ints, Ints, Floats],
    nodes: Floats,
    scratch: tuple[Floats, Floats, Floats, Floats],
) -> None:
    """Write the product of each node's path, and what leaves make of theirs."""
    features, thresholds, missing_left, lefts, values = splits
    parents, sames, outsides = paths
    products, sums, inverses, insides = scratch
    size = len(nodes)
    products[:size], inverses[:size], insides[0] = 1.0, 1.0, 1.0
    sums[:size] = values[first]
    for node in range(1, last - first):
        parent, same = parents[first + node], sames[first + node]
        value = x[features[first + parent]]
        is_missing_left = np.isnan(value) & missing_left[first + parent]
        is_left = (value <= thresholds[first + parent]) | is_missing_left
        goes = is_left == (lefts[first + parent] == node)
        inside = insides[same] * goes
        insides[node] = inside
        outside, worth = outsides[first + node], values[first + node]
        own, above, alike = node * size, parent * size, same * size
        for block in range(0, size, _AT_ONCE):
            for q in range(block, block + _AT_ONCE):
                at, factor = _Place(own + q), outside + nodes[q] * (inside - outside)
                product = products[_Place(above + q)] * factor
                product *= inverses[_Place(alike + q)]
                products[at] = product
                sums[at] = product * worth
                inverses[at] = 1.0 / factor


@njit(cache=True, error_model="numpy", inline="always")
def _ascend(
    first: int,
    last: int,
    features: Ints,
    paths: tuple[Ints, Ints, Floats],
    weights: Floats,
    scratch: tuple[Floats, Floats, Floats, Floats],
    found: Floats,
) -> None:
    """Sum up the leaves below each edge, and give its feature its part of them.

    The leaves below an edge belong to it and not to the edge of the same feature
    above it, which gave itself all leaves below: so that part is taken away.
    """
    parents, sames, outsides = paths
    _, sums, inverses, insides = scratch
    size = len(weights)
    for node in range(last - first - 1, 0, -1):
        parent, same = parents[first + node], sames[first + node]
        gain = insides[node] - outsides[first + node]
        gain_above = insides[same] - outsides[first + same]
        part = 0.0
        own, above, alike = node * size, parent * size, same * size
        for block in range(0, size, _AT_ONCE):
            for q in range(block, block + _AT_ONCE):
                at, leaves = _Place(own + q), sums[_Place(own + q)]
                slope = gain * inverses[at] - gain_above * inverses[_Place(alike + q)]
                part += weights[q] * leaves * slope
                sums[_Place(above + q)] += leaves
        found[features[first + parent]] += part
