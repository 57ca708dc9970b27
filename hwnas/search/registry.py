"""Strategies by name."""

from collections.abc import Callable

from hwnas.search.compound import CompoundScaling
from hwnas.search.constraint import LatencyConstraint
from hwnas.search.controller import Controller
from hwnas.search.evolution import Evolution
from hwnas.search.grid import GridSearch
from hwnas.search.local_search import LocalSearch
from hwnas.search.model_based import ModelBased
from hwnas.search.nsga2 import Nsga2
from hwnas.search.ofa_evolution import OfaEvolution
from hwnas.search.reinforce import Reinforce
from hwnas.search.strategy import RandomSearch, Strategy, check_strategy
from hwnas.spaces.space import SearchSpace

Discrete = Callable[[SearchSpace, LatencyConstraint, int], Strategy]

DISCRETE: dict[str, Discrete] = {
    own.name: own
    for own in (
        CompoundScaling,
        Controller,
        Evolution,
        GridSearch,
        LocalSearch,
        ModelBased,
        Nsga2,
        OfaEvolution,
        RandomSearch,
        Reinforce,
    )
}
"""Strategies that propose genotypes and are told their accuracy, and need no more."""

FILTERED = frozenset({"evolution", "local", "model", "nsga2", "ofa", "random"})
"""Those that propose more than is judged, for cheap scores to choose from.

Grids are lists to go through, and what gradients or a policy propose is their answer.
"""


def discrete(
    name: str, space: SearchSpace, constraint: LatencyConstraint, seed: int
) -> Strategy | None:
    """The discrete strategy of a name; ``None`` for one that trains shared weights.

    Args:
        name: Its name.
        space: Where to search.
        constraint: The limit.
        seed: Seed of everything random.

    Raises:
        UnknownNameError: No strategy has that name.
        RequestError: The strategy does not fit the space.
    """
    check_strategy(name)
    return DISCRETE[name](space, constraint, seed) if name in DISCRETE else None
