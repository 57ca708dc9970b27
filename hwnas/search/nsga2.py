"""NSGA-II: evolution towards the whole front of latency against accuracy."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import RequestError
from hwnas.search.constraint import Floats, Genotype, LatencyConstraint, rows
from hwnas.search.strategy import ROUNDS, Proposer
from hwnas.spaces.space import Genotypes, SearchSpace


class Individual(NamedTuple):
    """A judged genotype: accuracy, higher is better, and predicted latency."""

    genotype: Genotype
    value: float
    latency_ms: float


class Nsga2(Proposer):
    """Non-dominated sorting with crowding distance (Deb et al., 2002), under the limit.

    Accuracy is maximised and predicted latency minimised, so that what is found is a
    front up to the limit and not one network at it. Parents win tournaments of two by
    their front, then by their distance from others on it; children take each gene from
    either parent with probability one half if they are crossed at all, and mutate each
    gene with probability 1 / number of genes. A full generation and the one before it
    compete for the places. What is infeasible is never proposed, which is feasibility
    first taken to its end: it needs no accuracy to lose.

    Args:
        space: Where to search.
        constraint: The limit.
        seed: Seed of everything random.
        population: Individuals of a generation.
        crossover: Probability that a child has two parents.

    Raises:
        RequestError: A size is out of range.
    """

    name = "nsga2"

    def __init__(
        self,
        space: SearchSpace,
        constraint: LatencyConstraint,
        seed: int,
        *,
        population: int = 20,
        crossover: float = 0.9,
    ) -> None:
        super().__init__(space, constraint, seed)
        if population < 4:
            raise RequestError(f"population must be at least 4, received {population}")
        if not 0 <= crossover <= 1:
            raise RequestError(f"crossover must be from 0 to 1, received {crossover}")
        self.population = population
        self.crossover = crossover
        self.parents: list[Individual] = []
        self.children: list[Individual] = []

    def ask(self, count: int) -> list[Genotype]:
        """Random genotypes for the first generation, then children."""
        found: list[Genotype] = []
        if not self.parents:
            return self.fill(count, found)
        for _ in range(ROUNDS):
            if len(found) >= count:
                break
            mothers, fathers = self._winners(4 * count), self._winners(4 * count)
            crossed = self.space.crossover(self.rng, mothers, fathers)
            alone = self.rng.random(len(mothers)) >= self.crossover
            children = np.where(alone[:, None], mothers, crossed)
            self.fresh(self.space.mutate(self.rng, children, 1 / self.space.length), count, found)
        return self.fill(count, found)

    def _winners(self, count: int) -> Genotypes:
        """Winners of tournaments of two, by front and then by crowding distance."""
        order = ranking(self.parents)
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        entrants = self.rng.integers(len(order), size=(count, 2))
        first = place[entrants[:, 0]] <= place[entrants[:, 1]]
        winners = np.where(first, entrants[:, 0], entrants[:, 1])
        return rows([self.parents[int(i)].genotype for i in winners])

    def tell(self, genotype: Genotype, value: float) -> None:
        """Let an individual join; a full generation competes with its parents."""
        self.proposed.add(genotype)
        if value != value:
            return
        latency_ms = float(self.constraint.predictor.predict_ms(rows([genotype]))[0])
        self.children.append(Individual(genotype, float(value), latency_ms))
        if len(self.children) >= self.population:
            everyone = self.parents + self.children
            order = ranking(everyone)[: self.population]
            self.parents, self.children = [everyone[int(i)] for i in order], []

    def state_dict(self) -> dict[str, Any]:
        """Generator and both generations."""
        return {
            **super().state_dict(),
            "parents": [[list(g), v, ms] for g, v, ms in self.parents],
            "children": [[list(g), v, ms] for g, v, ms in self.children],
        }

    def load_state_dict(self, state: dict[str, Any], proposed: Iterable[Genotype]) -> None:
        """Go on from what :meth:`state_dict` gave, after all that was proposed."""
        super().load_state_dict(state, proposed)
        self.parents, self.children = (
            [Individual(tuple(g), float(v), float(ms)) for g, v, ms in state[name]]
            for name in ("parents", "children")
        )


def fronts(value: Floats, latency_ms: Floats) -> NDArray[np.int64]:
    """The front of each, ``(n,)``: 0 for what nothing beats, 1 for what only those beat, and so on.

    Args:
        value: Higher is better, ``(n,)``.
        latency_ms: Lower is better, ``(n,)``.
    """
    no_worse = (value[:, None] >= value) & (latency_ms[:, None] <= latency_ms)
    better = (value[:, None] > value) | (latency_ms[:, None] < latency_ms)
    beats = no_worse & better
    front = np.full(len(value), -1, dtype=np.int64)
    number = 0
    while (front < 0).any():
        left = front < 0
        beaten = beats[left].any(axis=0)
        front[left & ~beaten] = number
        number += 1
    return front


def crowding(value: Floats, latency_ms: Floats) -> Floats:
    """Crowding distances ``(n,)`` within one front; its ends are at infinity."""
    distance = np.zeros(len(value))
    for axis in (value, latency_ms):
        order = axis.argsort(kind="stable")
        span = axis[order[-1]] - axis[order[0]]
        distance[order[[0, -1]]] = math.inf
        if span > 0 and len(order) > 2:
            distance[order[1:-1]] += (axis[order[2:]] - axis[order[:-2]]) / span
    return distance


def ranking(individuals: Sequence[Individual]) -> NDArray[np.int64]:
    """Indices, best first: by front, then the less crowded."""
    value = np.array([item.value for item in individuals])
    latency = np.array([item.latency_ms for item in individuals])
    front = fronts(value, latency)
    distance = np.zeros(len(value))
    for number in np.unique(front):
        own = np.flatnonzero(front == number)
        distance[own] = crowding(value[own], latency[own])
    return np.lexsort((-distance, front))
