"""Compound scaling: depth, width and resolution raised together up to the limit."""

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from hwnas.errors import RequestError
from hwnas.search.constraint import Floats, Genotype, LatencyConstraint, genes, rows
from hwnas.search.scales import choice_groups
from hwnas.search.strategy import Proposer
from hwnas.spaces.space import Genotypes, SearchSpace

AXES = {"depth": 1.0, "width": 2.0, "resolution": 2.0}
"""Scales and the power of a network's operations in each (Tan and Le, 2019, equation 3)."""
STEPS = 128
FINEST = 32
"""Parts into which the exponents are divided at last."""


class CompoundScaling(Proposer):
    """The largest network within the limit along each ratio of depth, width and resolution.

    EfficientNet (Tan and Le, 2019) scales a base network by α^φ in depth, β^φ in
    width and γ^φ in resolution with α·β²·γ² = 2, so that φ doubles the operations,
    having searched α, β and γ on a small grid. Here the ratios are the grid (shares of
    log 2 between the three, first coarse, then ever finer), and along each φ rises
    as far as the limit allows, by the device's latency instead of operations. Choices
    take the value that is nearest by its logarithm. All other choices stay as in
    the base network.

    Args:
        space: Where to search; it must have a choice of depth, width or resolution
            with two numbers at least.
        constraint: The limit.
        seed: Kept for the common interface; nothing here is random.
        base: The network whose other choices are kept: the space's first reference
            network by default, the middle values where it has none.

    Raises:
        RequestError: The space has none of the three scales.
    """

    name = "compound"

    def __init__(
        self,
        space: SearchSpace,
        constraint: LatencyConstraint,
        seed: int,
        *,
        base: Genotype | None = None,
    ) -> None:
        super().__init__(space, constraint, seed)
        groups = choice_groups(space)
        self._axes = [
            (power, members)
            for axis, power in AXES.items()
            if (members := [i for i in groups.get(axis, []) if self._scalable(i)])
        ]
        if not self._axes:
            kinds = ", ".join(groups)
            raise RequestError(
                f"compound scaling needs choices of depth, width or resolution; space "
                f"'{space.name}' has {kinds}. Take another strategy, such as evolution"
            )
        if base is None:
            middle = tuple(len(choice.values) // 2 for choice in space.choices)
            base = next(iter(space.references.values()), middle)
        self.base = space.check(base)
        self._rays = list(self._directions())
        self.position = 0

    def _scalable(self, index: int) -> bool:
        values = self.space.choices[index].values
        return len(values) > 1 and all(
            isinstance(value, int | float) and not isinstance(value, bool) and value > 0
            for value in values
        )

    def _directions(self) -> Iterator[tuple[float, ...]]:
        """Shares of the axes, that sum to 1: the corners and middles first, then ever finer."""
        seen = set()
        parts = 1
        while parts <= FINEST:
            for own in itertools.product(range(parts + 1), repeat=len(self._axes) - 1):
                if sum(own) <= parts:
                    shares = tuple(item / parts for item in (*own, parts - sum(own)))
                    if shares not in seen:
                        seen.add(shares)
                        yield shares
            parts = 3 if parts == 1 else 2 * parts

    def _ray(self, shares: tuple[float, ...]) -> Genotypes:
        """The networks along a ratio with rising φ, ``(n, choices)``, each once."""
        values = {i: self._logs(i) for _, members in self._axes for i in members}
        # φ at which the last axis that is scaled at all has reached its largest value.
        most = max(
            (values[i].max() - values[i].min()) / (share * math.log(2) / power)
            for (power, members), share in zip(self._axes, shares, strict=True)
            if share > 0
            for i in members
        )
        phi = np.linspace(0, most, STEPS)
        found = np.repeat(rows([self.base]), STEPS, axis=0)
        for (power, members), share in zip(self._axes, shares, strict=True):
            for index in members:
                own = values[index]
                wanted = own.min() + phi * share * math.log(2) / power
                found[:, index] = np.abs(own[None] - wanted[:, None]).argmin(axis=1)
        found = self.space.canonical(found)
        _, first = np.unique(found, axis=0, return_index=True)
        return found[np.sort(first)]

    def _logs(self, index: int) -> Floats:
        found: Floats = np.log(np.array(self.space.choices[index].values, dtype=float))
        return found

    def ask(self, count: int) -> list[Genotype]:
        """The largest feasible network of each of the next ratios; ``[]`` when all are done."""
        found: list[Genotype] = []
        while len(found) < count and self.position < len(self._rays):
            ray = self._ray(self._rays[self.position])
            self.position += 1
            feasible = np.flatnonzero(self.constraint.feasible(ray))
            if len(feasible):
                # By latency, since a device need not be faster for what is smaller.
                upper = self.constraint.upper_ms(ray[feasible])
                genotype = genes(ray[feasible[int(upper.argmax())]])
                if genotype not in self.proposed:
                    self.proposed.add(genotype)
                    found.append(genotype)
        return found

    def tell(self, genotype: Genotype, value: float) -> None:
        """Nothing is learned, but what was told is not proposed."""
        self.proposed.add(genotype)

    def state_dict(self) -> dict[str, Any]:
        """How many ratios are done."""
        return {**super().state_dict(), "position": self.position}

    def load_state_dict(self, state: dict[str, Any], proposed: Iterable[Genotype]) -> None:
        """Go on from what :meth:`state_dict` gave, after all that was proposed."""
        super().load_state_dict(state, proposed)
        self.position = int(state["position"])
