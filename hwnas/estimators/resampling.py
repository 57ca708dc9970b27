"""Bootstrap intervals of rank statistics: the same architectures, drawn again with replacement.

Efron, 1979; percentiles. One set of resamples serves all estimators, so that differences
between two of them are paired. A drawn architecture counts as often as it was drawn; two
copies of one are a tie in both rankings, which tau-b leaves out.
"""

import math
from dataclasses import fields

import numpy as np
from numpy.typing import ArrayLike

from hwnas.estimators.ranking import (
    Floats,
    RankStatistics,
    rank_statistics,
    score_ranks,
    top_threshold,
)

STATISTICS = tuple(field.name for field in fields(RankStatistics))
LEVEL = 0.95
SEED = 0

MATRIX_MOST = 1000
"""Architectures up to which all pairs are held in matrices, so that all resamples are a few
products; beyond, each resample is computed by itself, and there are fewer."""

RESAMPLES, RESAMPLES_OF_MANY = 1000, 200

DEFINED = 0.5
"""Share of the resamples in which a statistic must be defined for an interval."""


class Resampling:
    """Resamples of one set of architectures with a known truth.

    The top tenth begins at the same accuracy in every resample, and bands stay those of
    the whole set.

    Args:
        truth: Accuracies ``(n,)``, finite.
        bands: The band of cost of each, ``(n,)``, or ``None``.
        resamples: How many; a thousand by default, 200 for more than a thousand architectures.
        seed: Seed of the draws.
    """

    def __init__(
        self,
        truth: ArrayLike,
        bands: ArrayLike | None = None,
        *,
        resamples: int | None = None,
        seed: int = SEED,
    ) -> None:
        self.truth: Floats = np.asarray(truth, dtype=float)
        self.bands = None if bands is None else np.asarray(bands)
        self.threshold = top_threshold(self.truth)
        count = len(self.truth)
        if resamples is None:
            resamples = RESAMPLES if count <= MATRIX_MOST else RESAMPLES_OF_MANY
        draws = np.random.default_rng(seed).multinomial(
            count, np.full(count, 1 / count), size=resamples
        )
        self.weights: Floats = draws.astype(float)
        if count <= MATRIX_MOST:
            self._order = _order(self.truth)
            self._rank = self.weights @ self._order.T

    def draw(self, scores: ArrayLike) -> dict[str, Floats]:
        """Each statistic of a score in each resample, ``(resamples,)``; NaN where undefined.

        Args:
            scores: ``(n,)``, higher is better; what is not finite ranks below all else.
        """
        own = score_ranks(scores)
        if len(self.truth) <= MATRIX_MOST:
            return self._by_matrices(own)
        return self._one_by_one(own)

    def _one_by_one(self, scores: Floats) -> dict[str, Floats]:
        found = []
        for weights in self.weights:
            index = np.repeat(np.arange(len(scores)), weights.astype(int))
            statistics = rank_statistics(
                scores[index],
                self.truth[index],
                None if self.bands is None else self.bands[index],
                threshold=self.threshold,
            )
            found.append(list(statistics.to_json().values()))
        return dict(zip(STATISTICS, np.array(found).T, strict=True))

    def _by_matrices(self, scores: Floats) -> dict[str, Floats]:
        order, weights = _order(scores), self.weights
        balance, own, true = order * self._order, np.abs(order), np.abs(self._order)
        top = weights * (self.truth >= self.threshold)
        ranks = weights @ order.T
        # Counted against one another, signs average to nothing: ranks are centred as they are.
        products = (weights * ranks * self._rank).sum(axis=1)
        squares = ((weights * ranks**2).sum(axis=1), (weights * self._rank**2).sum(axis=1))
        if self.bands is None:
            within = np.full(len(weights), math.nan)
        else:
            same = (self.bands[:, None] == self.bands).astype(float)
            within = _taus(*(_pairs(weights, part * same) for part in (balance, own, true)))
        return {
            "kendall": _taus(*(_pairs(weights, part) for part in (balance, own, true))),
            "spearman": _taus(products, *squares),
            "top_decile_kendall": _taus(*(_pairs(top, part) for part in (balance, own, true))),
            "band_kendall": within,
            "regret": self._regrets(scores),
        }

    def _regrets(self, scores: Floats) -> Floats:
        drawn = self.weights > 0
        best = np.where(drawn, self.truth, -np.inf).max(axis=1)
        highest = np.where(drawn, scores, -np.inf).max(axis=1, keepdims=True)
        picked = self.weights * (scores == highest)
        regrets: Floats = best - (picked @ self.truth) / picked.sum(axis=1)
        return regrets


def interval(values: Floats, level: float = LEVEL) -> tuple[float, float]:
    """The percentiles that hold ``level`` of the values; NaN where half of them are NaN.

    Args:
        values: A statistic, or a difference of two, in each resample.
        level: Between 0 and 1.
    """
    known = values[np.isfinite(values)]
    if len(known) == 0 or len(known) < DEFINED * len(values):
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _order(values: Floats) -> Floats:
    """Signs of all differences, ``(n, n)``: row i minus column j."""
    signs: Floats = np.sign(values[:, None] - values)
    return signs


def _pairs(weights: Floats, matrix: Floats) -> Floats:
    """Sum of a symmetric matrix over the pairs of each resample, ``(resamples,)``."""
    sums: Floats = ((weights @ matrix) * weights).sum(axis=1) / 2
    return sums


def _taus(balance: Floats, own: Floats, true: Floats) -> Floats:
    """``balance / √(own · true)``; 0 where ``own`` is nothing, NaN where ``true`` is."""
    defined = (own > 0) & (true > 0)
    scale = np.sqrt(np.where(defined, own * true, 1.0))
    found: Floats = np.where(true > 0, np.where(defined, balance / scale, 0.0), np.nan)
    return found
