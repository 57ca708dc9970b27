"""How well scores rank architectures: correlations with the truth, and what the pick costs.

A score that is not finite is no answer, and ranks below all others, as it does where a
search filters by it. The truth must be finite: what has no accuracy is left out before.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from hwnas.errors import SpecError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

LEAST_TOP = 3
"""Architectures in the top tenth below which nothing is said of their order."""

MOST_BANDS, LEAST_IN_BAND = 5, 4


@dataclass(frozen=True)
class RankStatistics:
    """What a score is worth as a stand-in for accuracy; NaN where something is undefined.

    Args:
        kendall: Rank correlation, tau-b (Kendall, 1945): pairs in the right order minus
            pairs in the wrong one, over the pairs that are not ties.
        spearman: Rank correlation: Pearson's of the ranks, ties sharing the mean rank.
        top_decile_kendall: Kendall among the truly best tenth; NaN where that is fewer
            than three.
        band_kendall: Kendall over pairs of the same band of cost only; NaN without bands.
        regret: True accuracy of the best minus that of the one with the highest score, in
            the unit of the truth; the mean over those that share the highest score.
    """

    kendall: float
    spearman: float
    top_decile_kendall: float
    band_kendall: float
    regret: float

    def to_json(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)


def score_ranks(scores: ArrayLike) -> Floats:
    """Ranks ``(n,)`` from 1 for the lowest; ties share the mean, what is not finite is lowest.

    Args:
        scores: ``(n,)``, higher is better.
    """
    values = np.asarray(scores, dtype=float)
    ranks: Floats = np.asarray(
        stats.rankdata(np.where(np.isfinite(values), values, -np.inf)), dtype=float
    )
    return ranks


def rank_statistics(
    scores: ArrayLike,
    truth: ArrayLike,
    bands: ArrayLike | None = None,
    *,
    threshold: float | None = None,
) -> RankStatistics:
    """All statistics of one score.

    A score that is the same everywhere tells nothing and has a correlation of 0; where the
    truth is the same everywhere, there is no order to tell and the correlation is NaN.

    Args:
        scores: ``(n,)``, higher is better; what is not finite ranks below all else.
        truth: Accuracies ``(n,)``, finite.
        bands: The band of cost of each, ``(n,)``, as :func:`cost_bands` gives them.
        threshold: Accuracy at which the top tenth begins; that of ``truth`` by default.

    Raises:
        SpecError: Lengths differ, there are fewer than two, or the truth is not finite.
    """
    own, true = score_ranks(scores), np.asarray(truth, dtype=float)
    if own.shape != true.shape or own.ndim != 1 or len(own) < 2:
        raise SpecError(
            f"scores and truth must be as many, at least 2; received {own.shape} and {true.shape}"
        )
    if not np.isfinite(true).all():
        raise SpecError("the truth must be finite; leave out architectures without an accuracy")
    if threshold is None:
        threshold = top_threshold(true)
    top = true >= threshold
    return RankStatistics(
        kendall=_tau(*_pairs(own, true)),
        spearman=_spearman(own, true),
        top_decile_kendall=_tau(*_pairs(own[top], true[top])),
        band_kendall=math.nan if bands is None else _within(own, true, np.asarray(bands)),
        regret=float(true.max() - true[own == own.max()].mean()),
    )


def top_threshold(truth: Floats) -> float:
    """The accuracy from which on an architecture is of the top tenth.

    That of the ⌈n/10⌉-th best; those that tie with it are in. NaN, which nothing reaches,
    where ⌈n/10⌉ is fewer than three.

    Args:
        truth: Accuracies ``(n,)``.
    """
    size = math.ceil(len(truth) / 10)
    return math.nan if size < LEAST_TOP else float(np.sort(truth)[-size])


def cost_bands(costs: ArrayLike) -> Indices:
    """Bands of about equally many architectures of similar cost, ``(n,)``, from 0 on.

    At most five, each of four or more before ties; equal costs are in one band.

    Args:
        costs: MACs, latencies or the like, ``(n,)``, finite.

    Raises:
        SpecError: A cost is not finite.
    """
    values = np.asarray(costs, dtype=float)
    if not np.isfinite(values).all():
        raise SpecError("costs must be finite to make bands of them")
    count = max(1, min(MOST_BANDS, len(values) // LEAST_IN_BAND))
    below = stats.rankdata(values, method="min") - 1
    return np.asarray(below * count // max(len(values), 1), dtype=np.int64)


def _untied(values: Floats) -> float:
    """Pairs of different values."""
    _, counts = np.unique(values, return_counts=True)
    return float(len(values) * (len(values) - 1) - (counts * (counts - 1)).sum()) / 2


def _pairs(scores: Floats, truth: Floats) -> tuple[float, float, float]:
    """Pairs in the right order minus those in the wrong one; pairs untied in either."""
    own, true = _untied(scores), _untied(truth)
    if own == 0 or true == 0:
        return 0.0, own, true
    tau = float(stats.kendalltau(scores, truth).statistic)
    return tau * math.sqrt(own * true), own, true


def _tau(balance: float, untied_scores: float, untied_truth: float) -> float:
    if untied_truth == 0:
        return math.nan
    if untied_scores == 0:
        return 0.0
    return balance / math.sqrt(untied_scores * untied_truth)


def _within(scores: Floats, truth: Floats, bands: NDArray[np.int64]) -> float:
    parts = [_pairs(scores[bands == own], truth[bands == own]) for own in np.unique(bands)]
    balance, own, true = (sum(column) for column in zip(*parts, strict=True))
    return _tau(balance, own, true)


def _spearman(scores: Floats, truth: Floats) -> float:
    if np.ptp(truth) == 0:
        return math.nan
    if np.ptp(scores) == 0:
        return 0.0
    return float(stats.spearmanr(scores, truth).statistic)
