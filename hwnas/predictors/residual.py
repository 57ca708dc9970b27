"""What sums of parts miss: a factor, and trees on its logarithm where they help."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hwnas.predictors.boosting import BoostedTrees, Floats

FOLDS = 5
LEAST_FOR_TREES = 20


class Residual:
    """The logarithm of measured over summed, from features of the bag.

    A constant (the scale) from any number of samples; trees on what is left of
    it from 20 samples on, if they lower the cross-validated error.

    Learned: ``scale_`` (log), ``trees_`` (or ``None``), ``out_of_fold_`` (log
    errors of the samples, each predicted without it).
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, features: Floats, logs: Floats) -> "Residual":
        """Fit on features ``(n, k)`` and log ratios ``(n,)``; with n = 0 the ratio is 1."""
        count = len(logs)
        self.trees_: BoostedTrees | None = None
        self.scale_ = float(np.median(logs)) if count else 0.0
        plain, boosted = np.zeros(count), np.zeros(count)
        fold = np.random.default_rng(self.seed).permutation(count) % min(FOLDS, max(2, count))
        for part in np.unique(fold):
            inside, outside = fold != part, fold == part
            scale = float(np.median(logs[inside])) if inside.any() else 0.0
            plain[outside] = logs[outside] - scale
            if count >= LEAST_FOR_TREES:
                trees = self._trees().fit(features[inside], logs[inside] - scale)
                boosted[outside] = plain[outside] - trees.predict(features[outside])
        self.out_of_fold_ = plain
        if count >= LEAST_FOR_TREES and np.abs(boosted).mean() < np.abs(plain).mean():
            self.trees_ = self._trees().fit(features, logs - self.scale_)
            self.out_of_fold_ = boosted
        return self

    def _trees(self) -> BoostedTrees:
        return BoostedTrees(trees=120, depth=2, rate=0.07, seed=self.seed)

    def predict(self, features: Floats) -> Floats:
        """Log ratios ``(n,)`` for features ``(n, k)``."""
        if self.trees_ is None:
            return np.full(len(features), self.scale_)
        return self.scale_ + self.trees_.predict(features)

    def to_json(self) -> dict[str, Any]:
        """What was learned, as plain values."""
        return {
            "scale": self.scale_,
            "out_of_fold": [float(value) for value in self.out_of_fold_],
            "trees": None if self.trees_ is None else self.trees_.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Residual":
        """What :meth:`to_json` wrote."""
        residual = cls()
        residual.scale_ = float(value["scale"])
        residual.out_of_fold_ = np.array(value["out_of_fold"], dtype=float)
        residual.trees_ = None if value["trees"] is None else BoostedTrees.from_json(value["trees"])
        return residual
