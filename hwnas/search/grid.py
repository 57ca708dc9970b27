"""Grid search over the scales of a space."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from hwnas.search.constraint import Genotype, LatencyConstraint
from hwnas.search.scales import at_levels, choice_groups, levels
from hwnas.search.strategy import Proposer
from hwnas.spaces.space import SearchSpace

CHUNK = 1024
MOST = 2**20
"""Points of the grid that one ``ask`` looks at, at most."""
GOLDEN = (math.sqrt(5) - 1) / 2


class GridSearch(Proposer):
    """Every combination of levels, all choices of a kind set alike.

    The grid's axes are the kinds of choices (resolution, width, depth, kernel …), see
    :func:`hwnas.search.scales.choice_groups`; where each choice is a kind of its own,
    as in a cell, the grid is the whole space. Points come in an order that steps
    through the grid by the golden ratio of its size, so that the part that a budget
    reaches is spread over the whole, where rows in order would leave all but the last
    axes at their first values. It ends when the grid does.

    Args:
        space: Where to search.
        constraint: The limit; points beyond it are passed over.
        seed: Where in the grid to start.
    """

    name = "grid"

    def __init__(self, space: SearchSpace, constraint: LatencyConstraint, seed: int) -> None:
        super().__init__(space, constraint, seed)
        self._groups = list(choice_groups(space).values())
        self._levels = [levels(space, members) for members in self._groups]
        self.points = math.prod(self._levels)
        self._start = int(self.rng.integers(self.points)) if self.points < 2**62 else 0
        self._stride = max(1, round(GOLDEN * self.points))
        while math.gcd(self._stride, self.points) > 1:
            self._stride += 1
        self.position = 0

    def ask(self, count: int) -> list[Genotype]:
        """The next feasible points of the grid; ``[]`` at its end."""
        found: list[Genotype] = []
        end = min(self.points, self.position + MOST)
        while len(found) < count and self.position < end:
            # Small steps, so that no point is passed that is still to be proposed.
            step = min(CHUNK, end - self.position, max(16, 4 * count))
            candidates = self._at(range(self.position, self.position + step))
            feasible = self.constraint.feasible(candidates)
            for row, good in zip(candidates, feasible, strict=True):
                self.position += 1
                genotype = tuple(int(gene) for gene in row)
                if good and genotype not in self.proposed:
                    self.proposed.add(genotype)
                    found.append(genotype)
                    if len(found) == count:
                        break
        return found

    def _at(self, positions: range) -> np.ndarray:
        """The grid's points at positions, ``(n, choices)``."""
        picked = np.zeros((len(positions), len(self._levels)), dtype=np.int64)
        for row, position in enumerate(positions):
            # Python's integers: a grid may have more points than 64 bits count.
            rest = (self._start + position * self._stride) % self.points
            for column, size in enumerate(self._levels):
                rest, picked[row, column] = divmod(rest, size)
        return at_levels(self.space, self._groups, picked)

    def tell(self, genotype: Genotype, value: float) -> None:
        """A grid learns nothing, but does not propose what was told."""
        self.proposed.add(genotype)

    def state_dict(self) -> dict[str, Any]:
        """How far it is, and where it began."""
        return {**super().state_dict(), "position": self.position, "start": self._start}

    def load_state_dict(self, state: dict[str, Any], proposed: Iterable[Genotype]) -> None:
        """Go on from what :meth:`state_dict` gave, after all that was proposed."""
        super().load_state_dict(state, proposed)
        self.position, self._start = int(state["position"]), int(state["start"])
