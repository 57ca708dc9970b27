"""Estimators by name."""

from collections.abc import Callable

from hwnas.errors import UnknownNameError
from hwnas.estimators.az_nas import AzNasScore
from hwnas.estimators.base import AccuracyEstimator
from hwnas.estimators.fisher import FisherScore
from hwnas.estimators.grad_norm import GradNormScore
from hwnas.estimators.gradsign import GradSignScore
from hwnas.estimators.grasp import GraspScore
from hwnas.estimators.inherit import InheritEstimator
from hwnas.estimators.jacob_cov import JacobCovScore
from hwnas.estimators.naswot import NaswotScore
from hwnas.estimators.one_epoch import OneEpochEstimator
from hwnas.estimators.scratch import ScratchEstimator
from hwnas.estimators.size import MacsScore, ParametersScore
from hwnas.estimators.snip import SnipScore
from hwnas.estimators.synflow import SynflowScore
from hwnas.estimators.zen import ZenScore
from hwnas.estimators.zico import ZicoScore
from hwnas.training.images import ImageData
from hwnas.training.recipe import Recipe

ESTIMATORS: dict[str, Callable[[ImageData, Recipe, int], AccuracyEstimator]] = {
    "scratch": lambda data, recipe, seed: ScratchEstimator(data, recipe),
    "inherit": lambda data, recipe, seed: InheritEstimator(data, recipe),
    "synflow": lambda data, recipe, seed: SynflowScore(seed=seed),
    "naswot": lambda data, recipe, seed: NaswotScore(data, seed=seed),
    "parameters": lambda data, recipe, seed: ParametersScore(),
    "macs": lambda data, recipe, seed: MacsScore(),
    "snip": lambda data, recipe, seed: SnipScore(data, seed=seed),
    "grasp": lambda data, recipe, seed: GraspScore(data, seed=seed),
    "fisher": lambda data, recipe, seed: FisherScore(data, seed=seed),
    "grad_norm": lambda data, recipe, seed: GradNormScore(data, seed=seed),
    "jacob_cov": lambda data, recipe, seed: JacobCovScore(data, seed=seed),
    "zen": lambda data, recipe, seed: ZenScore(seed=seed),
    "gradsign": lambda data, recipe, seed: GradSignScore(data, seed=seed),
    "zico": lambda data, recipe, seed: ZicoScore(data, seed=seed),
    "az_nas": lambda data, recipe, seed: AzNasScore(seed=seed),
    "one-epoch": lambda data, recipe, seed: OneEpochEstimator(data, recipe),
}


def estimator(name: str, data: ImageData, *, recipe: Recipe, seed: int) -> AccuracyEstimator:
    """The estimator of a name.

    Args:
        name: One of ``ESTIMATORS``.
        data: The images, for those that look at them.
        recipe: How to train, for those that do; brings its own seed.
        seed: Seed of the zero-shot scores.

    Raises:
        UnknownNameError: There is none of that name.
    """
    if name not in ESTIMATORS:
        raise UnknownNameError("estimator", name, ESTIMATORS)
    return ESTIMATORS[name](data, recipe, seed)
