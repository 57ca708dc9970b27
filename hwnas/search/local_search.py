"""Local search: from one architecture to a better neighbour, again and again."""

from collections.abc import Iterable
from typing import Any

from hwnas.search.constraint import Genotype, LatencyConstraint, rows
from hwnas.search.strategy import Proposer
from hwnas.spaces.space import SearchSpace


class LocalSearch(Proposer):
    """Hill climbing with restarts (White et al., 2021, "Local search is state of the art").

    Random architectures first; then the neighbours of the best one, in random order, and as
    soon as one is better, its neighbours. Where all neighbours were tried, it starts anew
    from a random architecture. At a limit most single steps that gain accuracy are too
    slow, so a step beyond the limit is repaired: it takes, with it, the steps back that
    make it feasible. Such steps come after the plain ones.

    Args:
        space: Where to search.
        constraint: The limit.
        seed: Seed of everything random.
        starts: Random architectures before the first climb.
    """

    name = "local"

    def __init__(
        self,
        space: SearchSpace,
        constraint: LatencyConstraint,
        seed: int,
        *,
        starts: int = 10,
    ) -> None:
        super().__init__(space, constraint, seed)
        self.starts = starts
        self.told = 0
        self.peak: tuple[Genotype, float] | None = None
        # Neighbours of the peak that are still to be proposed.
        self.queue: list[Genotype] = []

    def ask(self, count: int) -> list[Genotype]:
        """Random architectures at first, then untried neighbours of the peak."""
        if self.told < self.starts:
            return self.fill(min(count, self.starts - self.told), [])
        found: list[Genotype] = []
        while self.queue and len(found) < count:
            genotype = self.queue.pop(0)
            if genotype not in self.proposed:
                self.proposed.add(genotype)
                found.append(genotype)
        if not found:
            # A local optimum, or all of the first failed: from somewhere else.
            self.peak = None
            return self.fill(1, [])
        return found

    def tell(self, genotype: Genotype, value: float) -> None:
        """Climb where the value is better than the peak's; NaN is no way up."""
        self.proposed.add(genotype)
        self.told += 1
        if value == value and (self.peak is None or value > self.peak[1]):
            self.peak = (genotype, float(value))
            self.queue = self._around(genotype)

    def _around(self, genotype: Genotype) -> list[Genotype]:
        """Neighbours in random order: those within the limit, then those repaired to be."""
        moves = self.space.neighbours(genotype)
        if not moves:
            return []
        moves = [moves[int(i)] for i in self.rng.permutation(len(moves))]
        feasible = self.constraint.feasible(rows(moves))
        plain = [move for move, good in zip(moves, feasible, strict=True) if good]
        mended = [
            item
            for move, good in zip(moves, feasible, strict=True)
            if not good and (item := self.constraint.repair(self.space, move)) is not None
        ]
        found = dict.fromkeys(plain + mended)
        return [item for item in found if item not in self.proposed]

    def state_dict(self) -> dict[str, Any]:
        """Generator, peak and what is left around it."""
        peak = None if self.peak is None else [list(self.peak[0]), self.peak[1]]
        return {
            **super().state_dict(),
            "told": self.told,
            "peak": peak,
            "queue": [list(item) for item in self.queue],
        }

    def load_state_dict(self, state: dict[str, Any], proposed: Iterable[Genotype]) -> None:
        """Go on from what :meth:`state_dict` gave, after all that was proposed."""
        super().load_state_dict(state, proposed)
        self.told = int(state["told"])
        peak = state["peak"]
        self.peak = None if peak is None else (tuple(peak[0]), float(peak[1]))
        self.queue = [tuple(item) for item in state["queue"]]
