"""Aging evolution under a latency limit."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from hwnas.errors import RequestError
from hwnas.search.constraint import Genotype, LatencyConstraint, genes, rows
from hwnas.search.strategy import ROUNDS, Proposer
from hwnas.spaces.space import SearchSpace


class Evolution(Proposer):
    """Tournament parents, half mutation and half crossover, the oldest removed.

    Regularised evolution (Real et al., 2019): random individuals until the
    population is full, then children of tournament winners, and with each that
    joins the oldest leaves. The children are those of once-for-all (Cai et al.,
    2020): half are mutants of one parent, half take each gene from either of two.
    Only feasible children are proposed, and every loop that looks for one is
    bounded. The defaults are those for small budgets: with Real et al.'s
    population of 100, a search of some dozens of trials would be random, and with
    the tournament of 3 of 10 that suits small tables it comes late to selecting.

    Args:
        space: Where to search.
        constraint: The limit.
        seed: Seed of everything random.
        population: Individuals alive, all of them random at first.
        tournament: Individuals among which a parent is chosen, drawn with replacement.
        mutation: Probability of redrawing a gene; at least one is redrawn.

    Raises:
        RequestError: A size is out of range.
    """

    name = "evolution"

    def __init__(
        self,
        space: SearchSpace,
        constraint: LatencyConstraint,
        seed: int,
        *,
        population: int = 10,
        tournament: int = 5,
        mutation: float = 0.1,
    ) -> None:
        super().__init__(space, constraint, seed)
        if population < 2:
            raise RequestError(f"population must be at least 2, received {population}")
        if not 1 <= tournament <= population:
            raise RequestError(
                f"tournament must be from 1 to the population, {population}, received {tournament}"
            )
        if not 0 <= mutation <= 1:
            raise RequestError(f"mutation must be from 0 to 1, received {mutation}")
        self.population = population
        self.tournament = tournament
        self.mutation = mutation
        self.alive: list[tuple[Genotype, float]] = []

    def ask(self, count: int) -> list[Genotype]:
        """Up to ``count`` feasible genotypes: random until the population is full, then children.

        What was told NaN fills no place.
        """
        found: list[Genotype] = []
        if len(self.alive) < self.population:
            return self.fill(count, found)
        for _ in range(ROUNDS):
            if len(found) >= count:
                break
            half = 2 * count
            mothers, fathers = self._parents(half), self._parents(half)
            children = np.concatenate(
                [
                    self.space.mutate(self.rng, mothers, self.mutation),
                    self.space.crossover(self.rng, mothers, fathers),
                ]
            )
            self.fresh(self.rng.permutation(children), count, found)
        return self.fill(count, found)

    def _parents(self, count: int) -> np.ndarray:
        values = np.array([value for _, value in self.alive])
        entrants = self.rng.integers(0, len(values), size=(count, self.tournament))
        winners = entrants[np.arange(count), values[entrants].argmax(axis=1)]
        return rows([self.alive[int(i)][0] for i in winners])

    def tell(self, genotype: Genotype, value: float) -> None:
        """Let an individual join; the oldest leaves when there are too many. NaN is not alive."""
        self.proposed.add(genotype)
        if value == value:
            self.alive.append((genotype, float(value)))
            self.alive = self.alive[-self.population :]

    def state_dict(self) -> dict[str, Any]:
        """Generator state and who is alive."""
        return {**super().state_dict(), "alive": [[list(g), v] for g, v in self.alive]}

    def load_state_dict(self, state: dict[str, Any], proposed: Iterable[Genotype]) -> None:
        """Go on from what :meth:`state_dict` gave, after all that was proposed."""
        super().load_state_dict(state, proposed)
        self.alive = [(genes(rows([g])[0]), float(v)) for g, v in state["alive"]]
