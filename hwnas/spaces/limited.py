"""A space without the architectures that are too large: limits that belong to the space."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import SpecError
from hwnas.spaces.costs import COSTS, costs_of
from hwnas.spaces.space import Genotypes, SearchSpace

ENUMERATED = 2**18
"""Architectures up to which a space is looked through one by one."""
DRAWN = 200_000
"""Draws after which a search for architectures within the limits is given up."""
ROUNDS = 20
STARTS = 16


class LimitedSpace(SearchSpace):
    """The architectures of a space that stay within limits.

    Sampling is by rejection, so it stays uniform over what is left. A mutant or a
    child of two that is beyond the limits is drawn again; after ``ROUNDS`` of that it
    is its parent (its mother). What is beyond them can still be decoded, since the
    shared weights of a supernet pass through it.

    Args:
        base: The space.
        limits: The most that is allowed, by the names of :data:`hwnas.spaces.costs.COSTS`.

    Raises:
        SpecError: A limit is unknown or no positive number, or nothing is within them.
    """

    def __init__(self, base: SearchSpace, limits: Mapping[str, float]) -> None:
        for name, limit in limits.items():
            if name not in COSTS:
                raise SpecError(f"there is no limit '{name}'; there are {', '.join(COSTS)}")
            if not limit > 0:
                raise SpecError(f"limit '{name}' must be a positive number, received {limit}")
        self.limits = dict(limits)
        self._costs = costs_of(base, limits)
        self._base = base
        super().__init__(
            base.name,
            base.choices,
            base.slots,
            input_channels=base.input_channels,
            image_sizes=base.image_sizes,
            resolution=base.resolution,
            classes=base.classes,
            definition={**base.definition, "limits": self.limits},
        )
        self._require_some()
        self.references = {
            name: genes
            for name, genes in base.references.items()
            if self.allowed(np.array([genes]))[0]
        }

    def _excess(self, genotypes: Genotypes) -> NDArray[np.float64]:
        """The largest of cost over limit, ``(n,)``."""
        shares = [self._costs[name](genotypes) / limit for name, limit in self.limits.items()]
        found: NDArray[np.float64] = np.max(shares, axis=0)
        return found

    def allowed(self, genotypes: Genotypes) -> NDArray[np.bool_]:
        """Which genotypes are within the limits, ``(n,)``."""
        return self._excess(genotypes) <= 1

    def _every(self) -> Genotypes:
        """All genotypes of the space without limits, if they are few enough to be listed."""
        genes = np.indices(tuple(self.cardinalities)).reshape(self.length, -1).T
        return np.unique(self.canonical(genes.astype(np.int64)), axis=0)

    @cached_property
    def _listed(self) -> Genotypes | None:
        """All that is within the limits, where that can be listed."""
        if int(np.prod([float(n) for n in self.cardinalities])) > ENUMERATED:
            return None
        every = self._every()
        return every[self.allowed(every)]

    def _require_some(self) -> None:
        if self._listed is not None and len(self._listed):
            return
        smallest = self._smallest()
        if self._excess(smallest[None])[0] > 1:
            needs = ", ".join(
                f"{self._costs[name](smallest[None])[0]:.0f} {COSTS[name].unit}"
                for name in self.limits
            )
            given = ", ".join(f"{name} {limit:g}" for name, limit in self.limits.items())
            raise SpecError(
                f"no architecture of space '{self.name}' is within its limits ({given}); the "
                f"smallest found has {needs}. Raise the limits, or take a smaller space"
            )

    def _smallest(self) -> NDArray[np.int64]:
        """The architecture furthest within the limits that coordinate descent finds."""
        rng = np.random.default_rng(0)
        starts = np.concatenate(
            [np.zeros((1, self.length), np.int64), super().sample(rng, STARTS, over="choices")]
        )
        found = []
        for start in starts:
            own, value = start, float(self._excess(start[None])[0])
            for _ in range(4 * self.length):
                moves = np.array(super().neighbours(own.tolist()))
                if not len(moves):
                    break
                excess = self._excess(moves)
                if excess.min() >= value:
                    break
                own, value = moves[int(excess.argmin())], float(excess.min())
            found.append((value, tuple(own.tolist())))
        return np.array(min(found)[1], dtype=np.int64)

    @cached_property
    def size(self) -> int:
        """Number of distinct architectures within the limits.

        Counted where the space has few enough to be listed; otherwise the whole
        space's number times the share of 100,000 draws that are within.
        """
        if self._listed is not None:
            return len(self._listed)
        drawn = super().sample(np.random.default_rng(0), 100_000)
        return max(1, round(self._base.size * float(self.allowed(drawn).mean())))

    def sample(
        self, rng: np.random.Generator, count: int, *, over: str = "architectures"
    ) -> Genotypes:
        """Random genotypes within the limits, ``(count, choices)``, canonical.

        Args:
            rng: Source of randomness.
            count: How many.
            over: As in :meth:`SearchSpace.sample`.

        Raises:
            SpecError: Too few architectures are within the limits to be found by drawing.
        """
        found: list[Genotypes] = []
        missing, drawn = count, 0
        while missing > 0:
            if drawn >= DRAWN + 100 * count:
                raise SpecError(
                    f"only {count - missing} of {drawn} architectures drawn from space "
                    f"'{self.name}' are within its limits; raise the limits"
                )
            batch = super().sample(rng, min(max(64, 4 * missing), 50_000), over=over)
            drawn += len(batch)
            found.append(batch[self.allowed(batch)][:missing])
            missing -= len(found[-1])
        return np.concatenate(found) if found else np.zeros((0, self.length), np.int64)

    def mutate(
        self,
        rng: np.random.Generator,
        genotypes: Genotypes,
        probability: float | NDArray[np.float64],
    ) -> Genotypes:
        """Genotypes with each gene redrawn with a probability, within the limits."""
        plain = super().mutate
        return self._redrawn(genotypes, lambda rows: plain(rng, genotypes[rows], probability))

    def crossover(
        self, rng: np.random.Generator, mothers: Genotypes, fathers: Genotypes
    ) -> Genotypes:
        """Children that take each gene from either parent, within the limits."""
        plain = super().crossover
        return self._redrawn(mothers, lambda rows: plain(rng, mothers[rows], fathers[rows]))

    def _redrawn(
        self, parents: Genotypes, draw: Callable[[NDArray[np.int64]], Genotypes]
    ) -> Genotypes:
        children = parents.copy()
        left = np.arange(len(parents))
        for _ in range(ROUNDS):
            if not len(left):
                break
            drawn = draw(left)
            good = self.allowed(drawn)
            children[left[good]] = drawn[good]
            left = left[~good]
        return children

    def neighbours(self, genotype: Sequence[int]) -> list[tuple[int, ...]]:
        """Distinct genotypes within the limits that differ in one choice."""
        moves = super().neighbours(genotype)
        if not moves:
            return []
        good = self.allowed(np.array(moves))
        return [move for move, fine in zip(moves, good, strict=True) if fine]
