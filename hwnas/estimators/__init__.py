"""Accuracy estimators behind one protocol: training from scratch, zero-shot scores, paths."""

from hwnas.estimators.base import AccuracyEstimator, Budget, Estimate
from hwnas.estimators.inherit import InheritEstimator
from hwnas.estimators.paths import PathTrainer
from hwnas.estimators.registry import ESTIMATORS, estimator
from hwnas.estimators.scratch import ScratchEstimator
from hwnas.estimators.zero_shot import mean_rank

__all__ = [
    "ESTIMATORS",
    "AccuracyEstimator",
    "Budget",
    "Estimate",
    "InheritEstimator",
    "PathTrainer",
    "ScratchEstimator",
    "estimator",
    "mean_rank",
]
