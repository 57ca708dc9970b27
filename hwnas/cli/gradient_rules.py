"""The strategies that train shared weights, by name: a rule and the weights that it moves."""

from collections.abc import Iterable

from hwnas.estimators import MixtureTrainer, PathTrainer, require_mixable
from hwnas.search.darts import ContinuousRelaxation
from hwnas.search.gdas import GumbelSoftmax
from hwnas.search.proxyless import BinaryGates
from hwnas.search.rule import Rule
from hwnas.spaces import SearchSpace
from hwnas.training import ImageData

MIXED = {"darts": 1, "darts2": 2}
"""Strategies that run all blocks at once, and their order."""


def check_gradient(names: Iterable[str], space: SearchSpace) -> None:
    """Refuse, before any work, a strategy that would run too many blocks at once.

    Raises:
        RequestError: A slot of the space has more blocks than can be mixed.
    """
    for name in names:
        if name in MIXED:
            require_mixable(space, name)


def gradient_rule(name: str, space: SearchSpace, data: ImageData, *, steps: int, seed: int) -> Rule:
    """The rule of a strategy, with new shared weights.

    Args:
        name: ``gradient`` (ProxylessNAS), ``gdas``, ``darts`` or ``darts2``.
        space: Where to search.
        data: What the weights learn from.
        steps: Steps over which their learning rate falls.
        seed: Seed of the weights and the batches.
    """
    if name in MIXED:
        model = MixtureTrainer(space, data, total_steps=steps, seed=seed)
        return ContinuousRelaxation(model, order=MIXED[name])
    if name == GumbelSoftmax.name:
        return GumbelSoftmax(MixtureTrainer(space, data, total_steps=steps, seed=seed))
    return BinaryGates(PathTrainer(space, data, total_steps=steps, seed=seed))
