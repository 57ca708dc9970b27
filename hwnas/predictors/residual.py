"""What sums of parts miss: a factor, a line and trees on its logarithm where they help."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hwnas.predictors.boosting import BoostedTrees, Floats
from hwnas.predictors.linear import LinearModel

FOLDS = 5
PARTITIONS = 3
"""How often the folds are drawn: of a few dozen networks one partition decides by chance."""

LEAST_FOR_LINE = 12
LEAST_FOR_TREES = 20


class Residual:
    """The logarithm of measured over summed, from features of the bag.

    A constant (the scale) from any number of samples; from 12 samples on a line
    and from 20 on trees on what is left, each if it lowers the cross-validated error.

    Learned: ``scale_`` (log), ``line_`` and ``trees_`` (or ``None``), ``out_of_fold_``
    (log errors of the samples, each predicted without it).
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, features: Floats, logs: Floats) -> "Residual":
        """Fit on features ``(n, k)`` and log ratios ``(n,)``; with n = 0 the ratio is 1."""
        count = len(logs)
        errors: dict[tuple[bool, bool], Floats] = {}
        for line in (False, True):
            for trees in (False, True):
                least = max(LEAST_FOR_LINE * line, LEAST_FOR_TREES * trees)
                if count >= least:
                    errors[line, trees] = np.stack(
                        [
                            self._cross_validated(features, logs, line, trees, part)
                            for part in range(PARTITIONS)
                        ]
                    )
        # Among equals the simplest, which comes first.
        best = min(errors, key=lambda parts: np.abs(errors[parts]).mean() if count else 0.0)
        self._fit_parts(features, logs, *best)
        self.out_of_fold_ = errors[best][0]
        return self

    def _cross_validated(
        self, features: Floats, logs: Floats, line: bool, trees: bool, partition: int
    ) -> Floats:
        """Log errors of the samples, each predicted from the other folds of a partition."""
        count = len(logs)
        errors = np.zeros(count)
        rng = np.random.default_rng([self.seed, partition] if partition else self.seed)
        fold = rng.permutation(count) % min(FOLDS, max(2, count))
        for part in np.unique(fold):
            inside, outside = fold != part, fold == part
            model = Residual(self.seed)
            model._fit_parts(features[inside], logs[inside], line, trees)
            errors[outside] = logs[outside] - model.predict(features[outside])
        return errors

    def _fit_parts(self, features: Floats, logs: Floats, line: bool, trees: bool) -> None:
        self.scale_ = float(np.median(logs)) if len(logs) else 0.0
        left = logs - self.scale_
        self.line_: LinearModel | None = None
        self.trees_: BoostedTrees | None = None
        if line:
            self.line_ = LinearModel().fit(features, left)
            left = left - self.line_.predict(features)
        if trees:
            self.trees_ = self._trees().fit(features, left)

    def _trees(self) -> BoostedTrees:
        return BoostedTrees(trees=120, depth=2, rate=0.07, seed=self.seed)

    def predict(self, features: Floats) -> Floats:
        """Log ratios ``(n,)`` for features ``(n, k)``."""
        found = np.full(len(features), self.scale_)
        if self.line_ is not None:
            found += self.line_.predict(features)
        if self.trees_ is not None:
            found += self.trees_.predict(features)
        return found

    def to_json(self) -> dict[str, Any]:
        """What was learned, as plain values."""
        return {
            "scale": self.scale_,
            "out_of_fold": [float(value) for value in self.out_of_fold_],
            "line": None if self.line_ is None else self.line_.to_json(),
            "trees": None if self.trees_ is None else self.trees_.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Residual":
        """What :meth:`to_json` wrote."""
        residual = cls()
        residual.scale_ = float(value["scale"])
        residual.out_of_fold_ = np.array(value["out_of_fold"], dtype=float)
        line = value.get("line")
        residual.line_ = None if line is None else LinearModel.from_json(line)
        residual.trees_ = None if value["trees"] is None else BoostedTrees.from_json(value["trees"])
        return residual
