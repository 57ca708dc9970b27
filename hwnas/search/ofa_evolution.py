"""The evolution of once-for-all: generations, truncation selection, elitism."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from hwnas.errors import RequestError
from hwnas.search.constraint import Genotype, LatencyConstraint, rows
from hwnas.search.strategy import ROUNDS, Proposer
from hwnas.spaces.space import Genotypes, SearchSpace

RESOLUTION_MUTATION = 0.5


class OfaEvolution(Proposer):
    """Generations whose best quarter is kept and has the children of the next.

    As in once-for-all (Cai et al., 2020, and its public code): the first generation is
    random; then the best ``parents`` of all that lived in the last one stay (elitism),
    and the rest of the next are mutants of one of them and children that take each gene
    from either of two, in equal numbers. A gene mutates with ``mutation``, the
    resolution with 0.5. There the loops that look for a feasible child never end
    under a limit that nothing meets; here they are bounded. Its population of 100 is
    meant for evaluations that cost nothing; the default here suits some hundred trials.

    Args:
        space: Where to search.
        constraint: The limit.
        seed: Seed of everything random.
        population: Individuals of a generation.
        parents: Share of them that is kept and has children.
        mutation: Probability of redrawing a gene; at least one is redrawn.

    Raises:
        RequestError: A size is out of range.
    """

    name = "ofa"

    def __init__(
        self,
        space: SearchSpace,
        constraint: LatencyConstraint,
        seed: int,
        *,
        population: int = 20,
        parents: float = 0.25,
        mutation: float = 0.1,
    ) -> None:
        super().__init__(space, constraint, seed)
        if population < 4:
            raise RequestError(f"population must be at least 4, received {population}")
        if not 0 < parents < 1:
            raise RequestError(f"parents must be a share between 0 and 1, received {parents}")
        if not 0 <= mutation <= 1:
            raise RequestError(f"mutation must be from 0 to 1, received {mutation}")
        self.population = population
        self.kept = max(1, round(parents * population))
        self._mutation = np.full(space.length, mutation)
        if space.resolution is not None:
            self._mutation[space.resolution] = max(mutation, RESOLUTION_MUTATION)
        self.generation: list[tuple[Genotype, float]] = []
        self.elite: list[tuple[Genotype, float]] = []

    def ask(self, count: int) -> list[Genotype]:
        """Random genotypes for the first generation, then children of the elite."""
        found: list[Genotype] = []
        if not self.elite:
            return self.fill(count, found)
        for _ in range(ROUNDS):
            if len(found) >= count:
                break
            half = 2 * count
            children = np.concatenate(
                [
                    self.space.mutate(self.rng, self._parents(half), self._mutation),
                    self.space.crossover(self.rng, self._parents(half), self._parents(half)),
                ]
            )
            self.fresh(self.rng.permutation(children), count, found)
        return self.fill(count, found)

    def _parents(self, count: int) -> Genotypes:
        picks = self.rng.integers(len(self.elite), size=count)
        return rows([self.elite[int(i)][0] for i in picks])

    def tell(self, genotype: Genotype, value: float) -> None:
        """Let an individual join; a full generation is cut to its elite. NaN does not live."""
        self.proposed.add(genotype)
        if value != value:
            return
        self.generation.append((genotype, float(value)))
        if len(self.generation) + len(self.elite) >= self.population:
            everyone = self.elite + self.generation
            # Stable: among equals who was there first stays.
            everyone.sort(key=lambda item: -item[1])
            self.elite, self.generation = everyone[: self.kept], []

    def state_dict(self) -> dict[str, Any]:
        """Generator, elite and generation."""
        return {
            **super().state_dict(),
            "elite": [[list(g), v] for g, v in self.elite],
            "generation": [[list(g), v] for g, v in self.generation],
        }

    def load_state_dict(self, state: dict[str, Any], proposed: Iterable[Genotype]) -> None:
        """Go on from what :meth:`state_dict` gave, after all that was proposed."""
        super().load_state_dict(state, proposed)
        self.elite = [(tuple(g), float(v)) for g, v in state["elite"]]
        self.generation = [(tuple(g), float(v)) for g, v in state["generation"]]
