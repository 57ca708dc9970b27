"""A ladder of estimators: a pool is halved from rung to rung, the cheap ones first."""

import math
from collections.abc import Callable, Sequence

from hwnas.errors import DivergedError
from hwnas.estimators.base import AccuracyEstimator, Budget
from hwnas.estimators.zero_shot import mean_rank
from hwnas.spaces.architecture import Architecture

Rung = Sequence[AccuracyEstimator]
"""Estimators whose ranks are averaged."""

WIDTH = 4
"""Proposals for each that the judge sees, behind one rung; each further rung doubles them."""

TRAINING = frozenset({"scratch", "inherit", "hypernet-init"})
"""Estimators that train each candidate: as a rung, for one epoch."""


class Ladder:
    """Successive halving (Jamieson and Talwalkar, 2016) of a pool through estimators.

    Each rung ranks what the one before it left and keeps the same share, so that what
    is dear sees few. What is left behind the last rung goes to the judge.

    Args:
        rungs: The cheapest first; each is one estimator, or several of which the ranks
            are averaged.
        keep: How many are left behind the last rung.
        on_estimate: Called before each estimate with the share of the pool's estimates that
            are done.
    """

    def __init__(
        self,
        rungs: Sequence[Rung],
        keep: int,
        on_estimate: Callable[[float], None] | None = None,
    ) -> None:
        self.rungs = tuple(tuple(rung) for rung in rungs)
        self.keep = keep
        self._report = on_estimate or (lambda share: None)

    @property
    def pool(self) -> int:
        """How many proposals the first rung should see."""
        return self.keep * (WIDTH * 2 ** (len(self.rungs) - 1) if self.rungs else 1)

    def sizes(self, pool: int) -> list[int]:
        """How many architectures each rung sees, and how many are left behind the last."""
        if pool <= self.keep:
            return [pool] * (len(self.rungs) + 1)
        share = (self.keep / pool) ** (1 / max(1, len(self.rungs)))
        return [max(self.keep, round(pool * share**i)) for i in range(len(self.rungs) + 1)]

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        """Scores of a pool, higher is better: how far each came, and its rank where it fell.

        The whole part is the number of rungs passed, the rest grows with the mean rank in
        the rung that was the last.
        """
        scores = [0.0] * len(architectures)
        left = list(range(len(architectures)))
        sizes = self.sizes(len(architectures))
        total = sum(n * len(rung) for n, rung in zip(sizes, self.rungs, strict=False))
        done = 0
        for number, rung in enumerate(self.rungs):
            columns = []
            for own in rung:
                values = []
                for index in left:
                    self._report(done / total)
                    values.append(estimated(own, architectures[index]))
                    done += 1
                columns.append(values)
            ranks = mean_rank(columns)
            for index, rank in zip(left, ranks, strict=True):
                scores[index] = number + (rank - 0.5) / len(left)
            order = sorted(range(len(left)), key=lambda i: -ranks[i])
            left = [left[i] for i in order[: sizes[number + 1]]]
        for index in left:
            scores[index] += 1.0
        return scores


def estimated(own: AccuracyEstimator, architecture: Architecture) -> float:
    """The value of one estimate on a rung; NaN after a training that diverged."""
    budget = Budget(epochs=1) if own.name in TRAINING else Budget()
    try:
        return own.estimate(architecture, budget).value
    except DivergedError:
        return math.nan
