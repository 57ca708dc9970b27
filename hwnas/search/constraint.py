"""One latency limit for every strategy."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InfeasibleLimitError, RequestError
from hwnas.spaces.space import Genotypes, SearchSpace

if TYPE_CHECKING:
    from hwnas.search.limits import Limit

Floats = NDArray[np.float64]
Genotype = tuple[int, ...]

QUANTILES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
STARTS = 8
SWEEPS = 12


class SlotCost(Protocol):
    """What one slot costs for each setting of its choices."""

    @property
    def choices(self) -> tuple[int, ...]:
        """Indices of the choices."""
        ...

    @property
    def costs_ms(self) -> Floats:
        """Milliseconds, one axis per choice."""
        ...


class GenotypePredictor(Protocol):
    """Latency of genotypes (``hwnas.predictors.SpacePredictor``)."""

    def predict_ms(self, genotypes: Genotypes) -> Floats:
        """Latencies ``(n,)`` of genotypes ``(n, choices)``."""
        ...

    def table_ms(self, genotypes: Genotypes) -> Floats:
        """Latencies ``(n,)`` by the table of :meth:`slot_costs_ms` alone."""
        ...

    def bounds_ms(self, genotypes: Genotypes, quantile: float) -> tuple[Floats, Floats]:
        """Bounds ``(n,)`` that the latency stays above, and below, each with ``quantile``."""
        ...

    def slot_costs_ms(self) -> tuple[float, Sequence[SlotCost]]:
        """The additive table: a constant and a cost per slot."""
        ...


def rows(genotypes: Sequence[Genotype]) -> Genotypes:
    """Genotypes as an array ``(n, choices)``."""
    return np.array(genotypes, dtype=np.int64)


def genes(row: NDArray[np.int64]) -> Genotype:
    """One row as a tuple."""
    return tuple(row.tolist())


class LatencyConstraint:
    """Latency of at most a limit, with a probability.

    An architecture is feasible if the upper bound of its predicted latency is
    within the limit, and so are all others that are limited. What measuring finds is
    fed back by :meth:`tighten`.

    Args:
        predictor: Prices genotypes.
        limit_ms: The limit, milliseconds.
        quantile: Probability with which the true latency stays below the bound.
        others: Further limits: parameters, another device (:mod:`hwnas.search.limits`).

    Raises:
        RequestError: The limit is not a positive number, or the quantile not
            between 0.5 and 1.
    """

    def __init__(
        self,
        predictor: GenotypePredictor,
        limit_ms: float,
        quantile: float = 0.9,
        others: Sequence["Limit"] = (),
    ) -> None:
        if not math.isfinite(limit_ms) or limit_ms <= 0:
            raise RequestError(
                f"the latency limit must be a positive number of milliseconds, received {limit_ms}"
            )
        if not 0.5 <= quantile < 1:
            raise RequestError(f"the quantile must be from 0.5 to below 1, received {quantile}")
        self.predictor = predictor
        self.limit_ms = limit_ms
        self.quantile = quantile
        self.others = tuple(others)
        self.margin = 1.0

    def latency_upper_ms(self, genotypes: Genotypes) -> Floats:
        """Upper bounds ``(n,)`` of the latency of genotypes ``(n, choices)``."""
        return self.predictor.bounds_ms(genotypes, self.quantile)[1] * self.margin

    def upper_ms(self, genotypes: Genotypes) -> Floats:
        """What must be within the limit, ``(n,)``.

        The latency's upper bound; under several limits, the limit times the largest share
        that the genotype takes of any. So one number is held to one limit by all that
        filters, repairs and follows gradients, whatever binds.
        """
        upper = self.latency_upper_ms(genotypes)
        for other in self.others:
            upper = np.maximum(upper, self.limit_ms * other.upper(genotypes) / other.limit)
        return upper

    def describe(self) -> dict[str, Any]:
        """The limits as plain values, for files that must know what a search was held to."""
        own: dict[str, Any] = {"limit_ms": self.limit_ms, "quantile": self.quantile}
        if self.others:
            own["limits"] = {other.name: other.limit for other in self.others}
        return own

    def feasible(self, genotypes: Genotypes) -> NDArray[np.bool_]:
        """Which genotypes are within the limit, ``(n,)``."""
        return self.upper_ms(genotypes) <= self.limit_ms

    def probability(self, genotypes: Genotypes) -> Floats:
        """Probability that the latency is within the limit, ``(n,)``.

        As the predictor's bounds tell it: the largest of :data:`QUANTILES` whose bound is
        within the limit, and 0 where even the lowest is above.
        """
        found = np.zeros(len(genotypes))
        for quantile in QUANTILES:
            upper = self.predictor.bounds_ms(genotypes, quantile)[1] * self.margin
            found[upper <= self.limit_ms] = quantile
        return found

    def tighten(self, ratio: float) -> None:
        """Multiply all bounds, after a network measured ``ratio`` times its bound.

        Raises:
            RequestError: The ratio is below 1: a bound that was kept needs no more room.
        """
        if not 1 <= ratio < math.inf:
            raise RequestError(f"bounds can only be tightened by at least 1, received {ratio}")
        self.margin *= ratio

    def require_feasible(self, space: SearchSpace, rng: np.random.Generator) -> Genotype:
        """The architecture with the lowest bound that coordinate descent finds.

        Args:
            space: Where to look.
            rng: Source of the starting points.

        Raises:
            InfeasibleLimitError: Even that one is above the limit.
        """
        starts = np.concatenate(
            [np.zeros((1, space.length), np.int64), space.sample(rng, STARTS - 1, over="choices")]
        )
        best, lowest = genes(starts[0]), math.inf
        for start in starts:
            own = start
            value = float(self.upper_ms(space.canonical(own[None]))[0])
            for _ in range(SWEEPS):
                moves = rows(space.neighbours(own))
                bounds = self.upper_ms(moves)
                if bounds.min() >= value:
                    break
                own, value = moves[int(bounds.argmin())], float(bounds.min())
            if value < lowest:
                best, lowest = genes(space.canonical(own[None])[0]), value
        if lowest > self.limit_ms and self.others:
            needs = [f"{float(self.latency_upper_ms(rows([best]))[0]):.4g} ms"]
            needs += [
                f"{float(other.upper(rows([best]))[0]):.4g} of {other.limit:g} {other.unit}"
                for other in self.others
            ]
            raise InfeasibleLimitError(
                f"no architecture of space '{space.name}' keeps all limits; the nearest found "
                f"has {' and '.join(needs)}, with {self.limit_ms:g} ms allowed. Raise the "
                "limits that it breaks, or give a smaller space.",
                float(self.latency_upper_ms(rows([best]))[0]),
                best,
            )
        if lowest > self.limit_ms:
            raise InfeasibleLimitError(
                f"no architecture of space '{space.name}' is within {self.limit_ms:g} ms; the "
                f"lowest that can be promised is {lowest:.4g} ms. Give --limit-ms of at least "
                f"{_rounded_up(lowest):g}, or a smaller space.",
                lowest,
                best,
            )
        return best

    def repair(self, space: SearchSpace, genotype: Genotype) -> Genotype | None:
        """A feasible genotype near one: the neighbour that is just within, or goes furthest down.

        Returns:
            ``None`` where no path of single changes leads within the limit.
        """
        own = genes(space.canonical(rows([genotype]))[0])
        value = float(self.upper_ms(rows([own]))[0])
        for _ in range(4 * space.length):
            if value <= self.limit_ms:
                return own
            moves = rows(space.neighbours(own))
            bounds = self.upper_ms(moves)
            within = bounds <= self.limit_ms
            pick = (
                int(np.where(within, bounds, -math.inf).argmax())
                if within.any()
                else int(bounds.argmin())
            )
            if not within.any() and bounds[pick] >= value:
                return None
            own, value = genes(moves[pick]), float(bounds[pick])
        return None


def _rounded_up(value: float) -> float:
    digits = 3 - math.ceil(math.log10(value))
    return float(math.ceil(value * 10.0**digits) / 10.0**digits)
