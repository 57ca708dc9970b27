"""Scores that rank architectures without training, and the rank that combines them."""

from collections.abc import Sequence

import numpy as np

from hwnas.errors import SpecError
from hwnas.estimators.az_nas import AzNasScore, az_nas, log_ranks
from hwnas.estimators.fisher import FisherScore, fisher
from hwnas.estimators.grad_norm import GradNormScore, grad_norm
from hwnas.estimators.gradsign import GradSignScore, gradsign
from hwnas.estimators.grasp import GraspScore, grasp
from hwnas.estimators.jacob_cov import JacobCovScore, jacob_cov
from hwnas.estimators.naswot import NaswotScore, naswot
from hwnas.estimators.ranking import score_ranks
from hwnas.estimators.size import MacsScore, ParametersScore
from hwnas.estimators.snip import SnipScore, snip
from hwnas.estimators.synflow import SynflowScore, synflow
from hwnas.estimators.zen import ZenScore, zen
from hwnas.estimators.zico import ZicoScore, zico

__all__ = [
    "AzNasScore",
    "FisherScore",
    "GradNormScore",
    "GradSignScore",
    "GraspScore",
    "JacobCovScore",
    "MacsScore",
    "NaswotScore",
    "ParametersScore",
    "SnipScore",
    "SynflowScore",
    "ZenScore",
    "ZicoScore",
    "az_nas",
    "fisher",
    "grad_norm",
    "gradsign",
    "grasp",
    "jacob_cov",
    "log_ranks",
    "mean_rank",
    "naswot",
    "snip",
    "synflow",
    "zen",
    "zico",
]


def mean_rank(scores: Sequence[Sequence[float]]) -> list[float]:
    """Several scores of one pool as one: the mean of an architecture's ranks.

    Args:
        scores: Per score, its value for every architecture of the pool; higher
            is better. What is not finite is no answer and ranks below all else, as in
            :func:`hwnas.estimators.ranking.score_ranks`.

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
    return [float(rank) for rank in np.mean([score_ranks(values) for values in scores], axis=0)]
