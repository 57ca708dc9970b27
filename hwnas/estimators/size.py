"""Size as a score: the baselines that many zero-shot scores do not beat."""

import math
import time
from collections.abc import Callable, Mapping
from functools import partial

from hwnas.errors import UnknownNameError
from hwnas.estimators.base import Budget, Estimate
from hwnas.nets.layers import live_nodes
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.graph import LayerGraph, Node


def _parameters(graph: LayerGraph, node: Node) -> int:
    shapes = node.layer.parameter_shapes(*graph.node_input_shapes(node))
    return sum(math.prod(shape) for shape in shapes.values())


def _macs(graph: LayerGraph, node: Node) -> int:
    return node.layer.macs(*graph.node_input_shapes(node))


_COUNTS: Mapping[str, Callable[[LayerGraph, Node], int]] = {
    "parameters": _parameters,
    "macs": _macs,
}


class SizeScore:
    """A size of the layers that the output depends on, as a score.

    Args:
        name: ``"parameters"`` for the number of trained parameters, ``"macs"``
            for the multiply-accumulate operations for one image.

    Raises:
        UnknownNameError: There is no such size.
    """

    def __init__(self, name: str) -> None:
        if name not in _COUNTS:
            raise UnknownNameError("size", name, _COUNTS)
        self.name = name

    def estimate(self, architecture: Architecture, budget: Budget) -> Estimate:
        """The score of one architecture; the budget does not matter.

        Args:
            architecture: What to score.
            budget: Ignored.
        """
        start = time.perf_counter()
        count = _COUNTS[self.name]
        total = sum(
            count(item.graph, node)
            for item in architecture.placed
            for node in live_nodes(item.graph)
        )
        return Estimate(float(total), time.perf_counter() - start, {"estimator": self.name})


ParametersScore = partial(SizeScore, "parameters")
"""The number of trained parameters."""

MacsScore = partial(SizeScore, "macs")
"""The multiply-accumulate operations for one image."""
