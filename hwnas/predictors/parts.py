"""Prices of parts alone: what the models that measured them cost besides is taken off."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hwnas.errors import ProfileError
from hwnas.profiles import Measurement, Records

LEAST_MS = 5e-5
"""No part is free: a kernel that measures below this is priced at it."""


def edge_cost(measurements: Mapping[str, Measurement], call_ms: float) -> "EdgeCost":
    """What an edge costs, from the edge models that were measured."""
    known = {
        key: item.latency_ms - call_ms
        for key, item in measurements.items()
        if key.startswith("edge:")
    }
    return EdgeCost(known)


class EdgeCost:
    """Cost of a wrapped edge: as measured, or by a line over the image's elements."""

    def __init__(self, known: dict[str, float]) -> None:
        self._known = known
        if len(known) >= 2:
            sizes = np.array([_elements(key) for key in known], dtype=float)
            costs = np.array(list(known.values()))
            slope, intercept = np.polyfit(sizes, costs, 1)
            self._line = (float(slope), float(intercept))
        else:
            self._line = (0.0, next(iter(known.values()), 0.0))

    def __call__(self, shape: tuple[int, ...]) -> float:
        """Milliseconds of the edge of an image shape, with batch."""
        key = "edge:" + "x".join(map(str, shape))
        if key in self._known:
            return max(0.0, self._known[key])
        slope, intercept = self._line
        return max(0.0, slope * _elements(key) + intercept)


def _elements(key: str) -> int:
    total = 1
    for size in key.removeprefix("edge:").split("x"):
        total *= int(size)
    return total


def part_prices(records: Records) -> tuple[float, dict[str, float]]:
    """The price of an empty call and of every kernel and block that was measured, ms.

    Raises:
        ProfileError: The empty call was never measured.
    """
    measurements = records.measurements()
    if "call" not in measurements:
        raise ProfileError(
            "the profile has no measurement of an empty call, so no part can be priced; "
            "run 'hwnas profile' with a larger budget"
        )
    call_ms = measurements["call"].latency_ms
    edge = edge_cost(measurements, call_ms)
    prices = {}
    for key, item in measurements.items():
        if not key.startswith(("kernel:", "block:")):
            continue
        definition: dict[str, Any] = records.definitions.get(key, {})
        edges = [tuple(shape) for shape in definition.get("edges", [])]
        cost = item.latency_ms - call_ms - 0.5 * sum(edge(shape) for shape in edges)
        prices[key] = max(LEAST_MS, cost)
    return call_ms, prices
