"""Scores that rank architectures without training, and the rank that combines them."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from hwnas.errors import SpecError
from hwnas.estimators.naswot import NaswotScore, naswot
from hwnas.estimators.size import MacsScore, ParametersScore
from hwnas.estimators.synflow import SynflowScore, synflow

__all__ = [
    "MacsScore",
    "NaswotScore",
    "ParametersScore",
    "SynflowScore",
    "mean_rank",
    "naswot",
    "synflow",
]


def mean_rank(scores: Sequence[Sequence[float]]) -> list[float]:
    """Several scores of one pool as one: the mean of an architecture's ranks.

    Args:
        scores: Per score, its value for every architecture of the pool; higher
            is better. NaN ranks below all else.

    Returns:
        Per architecture its mean rank, from 1 for the worst to the size of the
        pool for the best; equals share the mean of their ranks.

    Raises:
        SpecError: There are no scores, or they are not of one pool.
    """
    sizes = {len(values) for values in scores}
    if len(sizes) != 1:
        raise SpecError(
            "mean rank: scores must be of one pool; received "
            + (f"pools of {', '.join(map(str, sorted(sizes)))}" if sizes else "none")
        )
    return [float(rank) for rank in np.mean([_ranks(values) for values in scores], axis=0)]


def _ranks(values: Sequence[float]) -> list[float]:
    missing = sum(map(math.isnan, values))
    ranks = iter(rankdata([value for value in values if not math.isnan(value)]))
    return [
        (missing + 1) / 2 if math.isnan(value) else missing + float(next(ranks)) for value in values
    ]
