"""Trees of scikit-learn's models as flat arrays.

Owns what a sum of trees looks like to those who explain it. Reads what scikit-learn
keeps to itself, so whoever uses this checks the sums; see `explain`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: In place of a feature: the node is a leaf.
LEAF = -1


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree of n nodes; a parent comes before its children, the root first.

    Attributes
    ----------
    feature
        (n,) int64: the column that a node looks at, `LEAF` where it looks at none.
    threshold
        (n,) float64: values up to it go left.
    is_missing_left
        (n,) bool: where missing values go.
    left, right
        (n,) int64: rows of the children; of no meaning for a leaf.
    weight
        (n,) float64: how much of the training data came through a node.
    value
        (n,) float64: what a leaf adds to the sum; 0 for other nodes.
    """

    feature: Ints
    threshold: Floats
    is_missing_left: Bools
    left: Ints
    right: Ints
    weight: Floats
    value: Floats


@dataclass(frozen=True, slots=True)
class TreeSum:
    """A model whose raw score is a constant and a sum over trees.

    Attributes
    ----------
    is_float32
        Values are rounded to single precision before they are compared.
    """

    constant: float
    trees: tuple[Tree, ...]
    is_float32: bool


def boosted_trees(model: Any) -> TreeSum | None:
    """Return the trees of a HistGradientBoostingClassifier for two classes.

    None where a tree asks for categories, which are not read here.
    """
    predictors = [one for (one,) in model._predictors]  # noqa: SLF001
    if any(one.nodes["is_categorical"].any() for one in predictors):
        return None
    trees = tuple(_boosted(one.nodes) for one in predictors)
    constant = float(np.ravel(model._baseline_prediction)[0])  # noqa: SLF001
    return TreeSum(constant, trees, is_float32=False)


def _boosted(nodes: NDArray[Any]) -> Tree:
    is_leaf = nodes["is_leaf"].astype(np.bool_)
    return Tree(
        feature=np.where(is_leaf, LEAF, nodes["feature_idx"]).astype(np.int64),
        threshold=nodes["num_threshold"].astype(np.float64),
        is_missing_left=nodes["missing_go_to_left"].astype(np.bool_),
        left=nodes["left"].astype(np.int64),
        right=nodes["right"].astype(np.int64),
        weight=nodes["count"].astype(np.float64),
        value=np.where(is_leaf, nodes["value"], 0.0),
    )


def forest(model: Any) -> TreeSum:
    """Return the trees of a RandomForestClassifier; they add up to a probability."""
    column = np.asarray(model.classes_).tolist().index(1)
    share = 1.0 / len(model.estimators_)
    trees = (_grown(one.tree_, column, share) for one in model.estimators_)
    return TreeSum(0.0, tuple(trees), is_float32=True)


def _grown(tree: Any, column: int, share: float) -> Tree:
    is_leaf = tree.children_left == LEAF
    by_class = tree.value[:, 0, :]
    probability = by_class[:, column] / by_class.sum(axis=1)
    return Tree(
        feature=np.where(is_leaf, LEAF, tree.feature).astype(np.int64),
        threshold=tree.threshold.astype(np.float64),
        is_missing_left=tree.missing_go_to_left.astype(np.bool_),
        left=tree.children_left.astype(np.int64),
        right=tree.children_right.astype(np.int64),
        weight=tree.weighted_n_node_samples.astype(np.float64),
        value=np.where(is_leaf, probability * share, 0.0),
    )
