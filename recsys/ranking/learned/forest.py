"""A boosted forest as plain arrays: learned by scikit-learn, stored without pickle, read without scikit-learn."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

CELLS = 80_000
"""Rows times trees that are looked at together: what they take fits a processor's cache."""
MOST_SPLITS = 10
"""Of a tree, up to which the leaf of every outcome of its splits stands in a table: 1.6 MB for 200 trees."""


@dataclass(frozen=True)
class Forest:
    """All nodes of all trees one after the other; a leaf leads to itself.

    column: (M,) which feature a node looks at, + F where an unknown one goes right. threshold: (M,), not above it goes
    left. children: (M, 2), left and right. value: (M,), of leaves. roots: (T,). start: what the sum begins with. steps:
    from a root to the deepest leaf.
    """

    column: NDArray[np.int32]
    threshold: NDArray[np.float32]
    children: NDArray[np.int32]
    value: NDArray[np.float64]
    roots: NDArray[np.int32]
    start: float
    steps: int

    @classmethod
    def of(cls, model: "HistGradientBoostingClassifier") -> Self:
        """The same trees as a fitted classifier of two classes, none of its features categorical."""
        trees = [stage[0].nodes for stage in model._predictors]
        sizes = [len(nodes) for nodes in trees]
        roots = np.cumsum([0, *sizes[:-1]]).astype(np.int32)
        nodes, root = np.concatenate(trees), np.repeat(roots, sizes)
        leaf, own = nodes["is_leaf"].astype(bool), np.arange(len(nodes))
        left, right = (np.where(leaf, own, nodes[side].astype(np.int64) + root) for side in ("left", "right"))
        unknown_right = ~nodes["missing_go_to_left"].astype(bool)
        return cls(
            np.where(leaf, 0, nodes["feature_idx"] + model.n_features_in_ * unknown_right).astype(np.int32),
            np.where(leaf, 0.0, _rounded_down(nodes["num_threshold"])).astype(np.float32),
            np.stack([left, right], axis=1).astype(np.int32),
            nodes["value"].astype(np.float64),
            roots,
            float(np.ravel(model._baseline_prediction)[0]),
            int(nodes["depth"].max()),
        )

    def looks_at(self, width: int) -> set[int]:
        """The columns of `width` that any split asks for."""
        split = self.children[:, 0] != np.arange(len(self.children))
        return set((self.column[split] % width).tolist())

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(R,) log odds of rows of features (R, F); NaN is unknown."""
        size = max(1, CELLS // max(len(self.roots), 1))
        parts = [self._sums(features[start : start + size]) for start in range(0, len(features), size)]
        return np.concatenate([np.zeros(0), *parts])

    def _sums(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        unknown, infinity = np.isnan(features), np.float32(np.inf)
        seen = np.concatenate([np.where(unknown, -infinity, features), np.where(unknown, infinity, features)], axis=1)
        leaves = self._walked(seen) if self._outcomes is None else self._outcomes.values(seen)
        return np.asarray(self.start + leaves.sum(axis=1))

    def _walked(self, seen: NDArray[np.float32]) -> NDArray[np.float64]:
        """(R, T) the value of the leaf that each row comes to in each tree, node by node. seen: (R, 2F)."""
        flat, row = seen.ravel(), (np.arange(len(seen), dtype=np.int32) * np.int32(seen.shape[1]))[:, None]
        node = np.broadcast_to(self.roots, (len(seen), len(self.roots)))
        both = self.children.ravel()
        for _ in range(self.steps):
            # `take` needs a third of the time of an index in brackets.
            right = flat.take(row + self.column.take(node)) > self.threshold.take(node)
            node = both.take(2 * node + right)
        return self.value.take(node)

    @cached_property
    def _outcomes(self) -> "_Outcomes | None":
        return _Outcomes.of(self)

    def state(self) -> dict[str, NDArray[Any]]:
        """As arrays, which `restore` reads."""
        return {
            "column": self.column,
            "threshold": self.threshold,
            "children": self.children,
            "value": self.value,
            "roots": self.roots,
            "start_steps": np.array([self.start, self.steps]),
        }

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """The counterpart of `state`."""
        start, steps = state["start_steps"]
        column, threshold, children = state["column"], state["threshold"], state["children"]
        return cls(column, threshold, children, state["value"], state["roots"], float(start), int(steps))


@dataclass(frozen=True)
class _Outcomes:
    """Every tree as a table of its leaves' values by the outcomes of all its splits, each a bit: four times as fast as
    to walk, for all splits are compared at once and no step waits for another.

    column, threshold: (S, T) of the splits of each tree, infinity where it has fewer. table: (T * 2 ** S,).
    """

    column: NDArray[np.int64]
    threshold: NDArray[np.float32]
    table: NDArray[np.float64]

    @classmethod
    def of(cls, forest: Forest) -> "_Outcomes | None":
        """None where a tree has more than MOST_SPLITS."""
        nodes, trees = np.arange(len(forest.value)), len(forest.roots)
        tree = np.searchsorted(forest.roots, nodes, side="right") - 1
        split = np.flatnonzero(forest.children[:, 0] != nodes)
        bit = np.zeros(len(nodes), np.int64)
        bit[split] = np.arange(len(split)) - np.searchsorted(tree[split], tree[split])
        most = int(bit.max(initial=0)) + 1
        if most > MOST_SPLITS:
            return None
        column, threshold = np.zeros((most, trees), np.int64), np.full((most, trees), np.inf, np.float32)
        column[bit[split], tree[split]] = forest.column[split]
        threshold[bit[split], tree[split]] = forest.threshold[split]
        outcome = np.arange(1 << most)
        node = np.repeat(forest.roots[:, None], 1 << most, axis=1)
        for _ in range(forest.steps):
            node = forest.children[node, (outcome >> bit[node]) & 1]
        return cls(column, threshold, forest.value[node].ravel())

    def values(self, seen: NDArray[np.float32]) -> NDArray[np.float64]:
        """(R, T) the value of the leaf that each row comes to in each tree. seen: (R, 2F)."""
        splits, trees = self.column.shape
        by_column = np.ascontiguousarray(seen.T)
        outcome = np.zeros((trees, len(seen)), np.uint8 if splits <= 8 else np.uint16)
        for column, threshold in zip(self.column[::-1], self.threshold[::-1], strict=True):
            outcome += outcome
            outcome += by_column.take(column, axis=0) > threshold[:, None]
        first = np.arange(trees, dtype=np.int32) << splits
        return np.asarray(self.table.take(outcome.T + first), np.float64)


def _rounded_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """As float32, so that the same float32 numbers are above; below infinity, which an unknown one that goes right has
    to be above."""
    most = np.finfo(np.float32).max
    rounded = np.clip(thresholds, -most, most).astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
