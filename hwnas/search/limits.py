"""Limits beside the latency: parameters, operations, activations, and other devices."""

from typing import Protocol

from hwnas.errors import RequestError
from hwnas.search.constraint import Floats, LatencyConstraint
from hwnas.spaces.costs import COSTS, SlotCosts
from hwnas.spaces.space import Genotypes, SearchSpace


class Limit(Protocol):
    """Something that must stay at or below a number."""

    @property
    def name(self) -> str:
        """What is limited, for people and journals."""
        ...

    @property
    def unit(self) -> str:
        """Of the number."""
        ...

    @property
    def limit(self) -> float:
        """The most that is allowed."""
        ...

    def upper(self, genotypes: Genotypes) -> Floats:
        """What must be at or below the limit, ``(n,)`` for genotypes ``(n, choices)``."""
        ...


class CostLimit:
    """A limit on what needs no device to be known.

    Args:
        space: The space.
        name: A cost, see :data:`hwnas.spaces.costs.COSTS`.
        limit: The most that is allowed.

    Raises:
        RequestError: There is no such cost, or the limit is no positive number.
    """

    def __init__(self, space: SearchSpace, name: str, limit: float) -> None:
        if name not in COSTS:
            raise RequestError(f"there is no cost '{name}'; there are {', '.join(COSTS)}")
        if not limit > 0:
            raise RequestError(f"the limit of {name} must be a positive number, received {limit}")
        self.name = name
        self.unit = COSTS[name].unit
        self.limit = float(limit)
        self.upper = SlotCosts(space, COSTS[name])


class DeviceLimit:
    """The latency limit of a second device.

    Args:
        device: Its name.
        constraint: Its predictor and limit; tightening it tightens this.
    """

    unit = "ms"

    def __init__(self, device: str, constraint: LatencyConstraint) -> None:
        self.name = f"latency on {device}"
        self.device = device
        self.constraint = constraint

    @property
    def limit(self) -> float:
        """Milliseconds."""
        return self.constraint.limit_ms

    def upper(self, genotypes: Genotypes) -> Floats:
        """Upper bounds of the latency there, ms, ``(n,)``."""
        return self.constraint.upper_ms(genotypes)
