"""What a strategy is: it asks for candidates and is told their accuracy."""

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from hwnas.errors import UnknownNameError
from hwnas.search.constraint import Genotype, LatencyConstraint, genes, rows
from hwnas.spaces.space import Genotypes, SearchSpace

STRATEGIES = (
    "compound",
    "controller",
    "darts",
    "darts2",
    "evolution",
    "gdas",
    "gradient",
    "grid",
    "local",
    "model",
    "nsga2",
    "ofa",
    "random",
    "reinforce",
)
ROUNDS = 30


class Strategy(Protocol):
    """Proposes architectures of a space within a limit."""

    name: str

    def ask(self, count: int) -> list[Genotype]:
        """Up to ``count`` feasible genotypes that were not proposed before; none left is ``[]``."""
        ...

    def tell(self, genotype: Genotype, value: float) -> None:
        """The accuracy of a genotype; NaN where it could not be had."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that the next ``ask`` depends on, as JSON, but what was proposed.

        It is written once per generation, so it must not grow with the search.
        """
        ...

    def recall(self, told: Iterable[tuple[Genotype, float]]) -> None:
        """What was told by the time of a state, for a strategy that learns from all of it.

        Called before :meth:`load_state_dict`.

        Args:
            told: Genotypes and their accuracies, NaN where they could not be had, in order.
        """
        ...

    def load_state_dict(self, state: dict[str, Any], proposed: Iterable[Genotype]) -> None:
        """Go on from what :meth:`state_dict` gave.

        Args:
            state: The state.
            proposed: All genotypes that :meth:`ask` had returned by then.
        """
        ...


class Proposer:
    """What discrete strategies share: seeds, what was proposed, feasible and fresh genotypes.

    Args:
        space: Where to search.
        constraint: The limit.
        seed: Seed of everything random.
    """

    name = "proposer"

    def __init__(self, space: SearchSpace, constraint: LatencyConstraint, seed: int) -> None:
        self.space = space
        self.constraint = constraint
        self.rng = np.random.default_rng(seed)
        self.proposed: set[Genotype] = set()

    def sampled(self, count: int) -> Genotypes:
        """Random genotypes, half uniform over architectures, half over choices."""
        half = -(-count // 2)
        return np.concatenate(
            [self.space.sample(self.rng, half), self.space.sample(self.rng, half, over="choices")]
        )

    def fresh(self, candidates: Genotypes, count: int, found: list[Genotype]) -> None:
        """Append to ``found`` the first feasible candidates that are new, up to ``count``."""
        if len(candidates) == 0:
            return
        for row in candidates[self.constraint.feasible(candidates)]:
            if len(found) >= count:
                break
            genotype = genes(row)
            if genotype not in self.proposed:
                self.proposed.add(genotype)
                found.append(genotype)

    def fill(self, count: int, found: list[Genotype]) -> list[Genotype]:
        """Fill ``found`` up with random feasible genotypes, repaired where few are feasible."""
        for _ in range(ROUNDS):
            if len(found) >= count:
                break
            candidates = self.sampled(8 * count)
            self.fresh(candidates, count, found)
            if len(found) < count:
                repaired = [
                    item
                    for row in candidates[:count]
                    if (item := self.constraint.repair(self.space, genes(row))) is not None
                ]
                if repaired:
                    self.fresh(rows(repaired), count, found)
        return found

    def recall(self, told: Iterable[tuple[Genotype, float]]) -> None:
        """Most strategies have in their state what they need."""

    def state_dict(self) -> dict[str, Any]:
        """Generator state."""
        return {"rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any], proposed: Iterable[Genotype]) -> None:
        """Go on from what :meth:`state_dict` gave, after all that was proposed."""
        self.rng.bit_generator.state = state["rng"]
        self.proposed = set(proposed)


class RandomSearch(Proposer):
    """Random feasible architectures: the baseline of every other strategy."""

    name = "random"

    def ask(self, count: int) -> list[Genotype]:
        """Up to ``count`` feasible genotypes that were not proposed before."""
        return self.fill(count, [])

    def tell(self, genotype: Genotype, value: float) -> None:
        """Random search learns nothing, but does not propose what was told."""
        self.proposed.add(genotype)


def check_strategy(name: str) -> None:
    """Refuse an unknown name.

    Raises:
        UnknownNameError: There is no such strategy.
    """
    if name not in STRATEGIES:
        raise UnknownNameError("strategy", name, STRATEGIES)
