"""What sums of parts miss: a factor, a line and trees on its logarithm where they help."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.predictors.boosting import BoostedTrees, Floats
from hwnas.predictors.conformal import conformal_quantile
from hwnas.predictors.linear import LinearModel
from hwnas.predictors.novelty import Novelty

FOLDS = 5
PARTITIONS = 3
"""How often the folds are drawn: of a few dozen networks one partition decides by chance."""

LEAST_FOR_LINE = 12
LEAST_FOR_TREES = 20
LEAST_GROUPS = 3
"""Groups of networks from which on they say what a group that nobody saw is like."""

LEAST_OF_GROUP = 5

BEYOND = 0.5
"""How far beyond the samples' log ratios one is predicted, as a share of their range."""


class Residual:
    """The logarithm of measured over summed, from features of the bag.

    A constant (the scale) from any number of samples; from 12 samples on a line
    and from 20 on trees on what is left, each if it lowers the cross-validated error.

    Samples of at least three groups (families of networks) also say how far off it is for
    a group that was left out, and whether what the groups have in common is the better
    guess there. Both count for a bag by its :class:`~hwnas.predictors.novelty.Novelty`.

    No ratio is predicted that is farther from those of the samples than by half of their range:
    corners of the features where nobody was lead lines anywhere.

    Learned: ``scale_`` (log), ``range_`` (logs, low and high), ``line_`` and ``trees_`` (or
    ``None``), ``out_of_fold_`` (log errors of the samples, each predicted without it),
    ``novelty_``, ``foreign_``
    (log errors of each group, predicted without it), ``common_`` (log ratio for what is
    wholly new, ``None`` where the trees are the better guess there too).
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(
        self, features: Floats, logs: Floats, groups: Sequence[str] | None = None
    ) -> "Residual":
        """Fit on samples; with none the ratio is 1.

        Args:
            features: ``(n, k)``.
            logs: Log ratios ``(n,)``.
            groups: The group of each sample; without it all are of one.
        """
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
        self.novelty_ = Novelty().fit(features, groups)
        self._fit_foreign(features, logs, np.array(groups or [""] * count), *best)
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
            errors[outside] = logs[outside] - model._of_known(features[outside])
        return errors

    def _fit_parts(self, features: Floats, logs: Floats, line: bool, trees: bool) -> None:
        self.scale_ = float(np.median(logs)) if len(logs) else 0.0
        low, high = (float(logs.min()), float(logs.max())) if len(logs) else (0.0, 0.0)
        self.range_ = (low - BEYOND * (high - low), high + BEYOND * (high - low))
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

    def _fit_foreign(
        self, features: Floats, logs: Floats, groups: Any, line: bool, trees: bool
    ) -> None:
        names = [n for n in np.unique(groups) if (groups == n).sum() >= LEAST_OF_GROUP]
        middles = {name: float(np.median(logs[groups == name])) for name in names}
        self.common_: float | None = float(np.median(list(middles.values()) or [self.scale_]))
        self.foreign_: list[Floats] = []
        if len(names) < LEAST_GROUPS:
            return
        common: list[Floats] = []
        fitted: list[Floats] = []
        for name in names:
            inside, outside = groups != name, groups == name
            others = [middle for other, middle in middles.items() if other != name]
            common.append(logs[outside] - np.median(others))
            model = Residual(self.seed)
            model._fit_parts(features[inside], logs[inside], line, trees)
            fitted.append(logs[outside] - model._of_known(features[outside]))
        sizes = [float(np.mean([np.abs(e).mean() for e in way])) for way in (common, fitted)]
        self.foreign_ = common if sizes[0] <= sizes[1] else fitted
        if sizes[0] > sizes[1]:
            self.common_ = None

    def _of_known(self, features: Floats) -> Floats:
        found = np.full(len(features), self.scale_)
        if self.line_ is not None:
            found += self.line_.predict(features)
        if self.trees_ is not None:
            found += self.trees_.predict(features)
        clipped: Floats = np.clip(found, *self.range_)
        return clipped

    def predict(self, features: Floats) -> Floats:
        """Log ratios ``(n,)`` for features ``(n, k)``."""
        found = self._of_known(features)
        if self.common_ is None or (self.line_ is None and self.trees_ is None):
            return found
        novelty = self.novelty_.of(features)
        return found + novelty * (self.common_ - found)

    def bounds(self, features: Floats, quantile: float) -> tuple[Floats, Floats]:
        """Logarithms ``(n,)`` that a fresh error stays above, and below, each with ``quantile``.

        Between those of the samples and those of a group that was left out, by novelty.
        What new groups are like, few groups tell: the widest of them counts.
        """
        novelty = self.novelty_.of(features)

        def side(sign: int) -> Floats:
            own = max(0.0, conformal_quantile(sign * self.out_of_fold_, quantile))
            groups = self.foreign_ or [np.zeros(0)]
            new = max(own, *(conformal_quantile(sign * errors, quantile) for errors in groups))
            wide: Floats = own + novelty * (new - own)
            return wide

        return -side(-1), side(1)

    def rescaled(self, features: Floats, logs: Floats) -> "Residual":
        """This with the scale of other samples, and with errors on each of them without it.

        Args:
            features: ``(n, k)``, n at least 2.
            logs: Log ratios ``(n,)``.
        """
        left = logs - self._of_known(features)
        found = Residual(self.seed)
        shift = float(np.median(left))
        found.scale_, found.line_, found.trees_ = self.scale_ + shift, self.line_, self.trees_
        found.range_ = (self.range_[0] + shift, self.range_[1] + shift)
        found.novelty_, found.foreign_ = self.novelty_, self.foreign_
        found.common_ = None if self.common_ is None else self.common_ + shift
        found.out_of_fold_ = np.array(
            [value - np.median(np.delete(left, index)) for index, value in enumerate(left)]
        )
        return found

    def to_json(self) -> dict[str, Any]:
        """What was learned, as plain values."""
        return {
            "scale": self.scale_,
            "range": list(self.range_),
            "out_of_fold": [float(value) for value in self.out_of_fold_],
            "line": None if self.line_ is None else self.line_.to_json(),
            "trees": None if self.trees_ is None else self.trees_.to_json(),
            "novelty": self.novelty_.to_json(),
            "foreign": [[float(value) for value in errors] for errors in self.foreign_],
            "common": self.common_,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Residual":
        """What :meth:`to_json` wrote."""
        residual = cls()
        residual.scale_ = float(value["scale"])
        low, high = value["range"]
        residual.range_ = (float(low), float(high))
        residual.out_of_fold_ = np.array(value["out_of_fold"], dtype=float)
        line = value.get("line")
        residual.line_ = None if line is None else LinearModel.from_json(line)
        residual.trees_ = None if value["trees"] is None else BoostedTrees.from_json(value["trees"])
        residual.novelty_ = Novelty.from_json(value["novelty"])
        residual.foreign_ = [np.array(errors, dtype=float) for errors in value["foreign"]]
        common = value["common"]
        residual.common_ = None if common is None else float(common)
        return residual
