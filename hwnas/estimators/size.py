"""Size as a score: the baselines that many zero-shot scores do not beat."""

import math
import time
from collections.abc import Callable

from hwnas.estimators.base import Budget, Estimate
from hwnas.nets.layers import live_nodes
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.graph import LayerGraph, Node


class ParametersScore:
    """The number of trained parameters that the output depends on."""

    name = "parameters"

    def estimate(self, architecture: Architecture, budget: Budget) -> Estimate:
        """The score of one architecture; the budget does not matter.

        Args:
            architecture: What to score.
            budget: Ignored.
        """
        return _summed(self.name, architecture, _parameters)


class MacsScore:
    """The multiply-accumulate operations for one image that the output depends on."""

    name = "macs"

    def estimate(self, architecture: Architecture, budget: Budget) -> Estimate:
        """The score of one architecture; the budget does not matter.

        Args:
            architecture: What to score.
            budget: Ignored.
        """
        return _summed(self.name, architecture, _macs)


def _parameters(graph: LayerGraph, node: Node) -> int:
    shapes = node.layer.parameter_shapes(*graph.node_input_shapes(node))
    return sum(math.prod(shape) for shape in shapes.values())


def _macs(graph: LayerGraph, node: Node) -> int:
    return node.layer.macs(*graph.node_input_shapes(node))


def _summed(
    name: str, architecture: Architecture, count: Callable[[LayerGraph, Node], int]
) -> Estimate:
    start = time.perf_counter()
    total = sum(
        count(item.graph, node) for item in architecture.placed for node in live_nodes(item.graph)
    )
    return Estimate(float(total), time.perf_counter() - start, {"estimator": name})
