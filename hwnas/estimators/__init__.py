"""Accuracy estimators behind one protocol: training, zero-shot scores, paths, a learned one."""

from hwnas.estimators.base import AccuracyEstimator, Budget, Estimate
from hwnas.estimators.encoding import Sample
from hwnas.estimators.hypernet import HypernetEstimator, HypernetInitEstimator
from hwnas.estimators.inherit import InheritEstimator
from hwnas.estimators.learned import LearnedEstimator, LearnedPredictor
from hwnas.estimators.mixtures import MixtureTrainer, require_mixable
from hwnas.estimators.paths import PathTrainer
from hwnas.estimators.ranking import RankStatistics, rank_statistics
from hwnas.estimators.registry import ESTIMATORS, TRAINED, Setting, estimator
from hwnas.estimators.scoreboard import Score, scoreboard
from hwnas.estimators.scratch import ScratchEstimator
from hwnas.estimators.supernet import SupernetEstimator
from hwnas.estimators.trials import read_trials
from hwnas.estimators.zero_shot import mean_rank

__all__ = [
    "ESTIMATORS",
    "TRAINED",
    "AccuracyEstimator",
    "Budget",
    "Estimate",
    "HypernetEstimator",
    "HypernetInitEstimator",
    "InheritEstimator",
    "LearnedEstimator",
    "LearnedPredictor",
    "MixtureTrainer",
    "PathTrainer",
    "RankStatistics",
    "Sample",
    "Score",
    "ScratchEstimator",
    "Setting",
    "SupernetEstimator",
    "estimator",
    "mean_rank",
    "rank_statistics",
    "read_trials",
    "require_mixable",
    "scoreboard",
]
