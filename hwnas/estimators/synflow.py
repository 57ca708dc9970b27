"""SynFlow: how much of a signal the weights let through, without data."""

import math
import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hwnas.estimators.base import Budget, Estimate
from hwnas.nets.layers import Statistics, apply_layer
from hwnas.nets.network import Network
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.layers import BatchNorm, Layer


def synflow(network: Network) -> float:
    """The logarithm of ``Σ|θ·∂R/∂θ|`` with weights ``|θ|``, R the sum of the outputs for ones.

    Tanaka et al., 2020, as a score for architectures by Abdelfattah et al.,
    2021. Batch norm is passed by, since it would undo the size of the weights;
    in double precision, since the sizes multiply over the layers.

    Args:
        network: Unchanged.

    Returns:
        The score; minus infinity where no weight reaches the output.
    """
    positive = Network(network.architecture).double()
    positive.load_state_dict(network.state_dict(), strict=False)
    with torch.no_grad():
        for parameter in positive.parameters():
            parameter.abs_()
    ones = torch.ones(1, *network.architecture.input_shape, dtype=torch.float64)
    parameters = list(positive.parameters())
    total = positive.interpret(ones, _without_norm).sum()
    slopes = torch.autograd.grad(total, parameters, allow_unused=True)
    score = sum(
        float((parameter * slope).abs().sum().item())
        for parameter, slope in zip(parameters, slopes, strict=True)
        if slope is not None
    )
    return math.log(score) if score > 0 else -math.inf


def _without_norm(
    layer: Layer,
    inputs: Sequence[Tensor],
    parameters: Mapping[str, Tensor],
    state: Statistics | None,
) -> Tensor:
    if isinstance(layer, BatchNorm):
        return inputs[0]
    return apply_layer(layer, inputs, parameters, state)


class SynflowScore:
    """SynFlow of a new network of each architecture.

    Args:
        seed: Seed of the weights.
    """

    name = "synflow"

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def estimate(self, architecture: Architecture, budget: Budget) -> Estimate:
        """The score of one architecture, see :func:`synflow`; the budget does not matter.

        Args:
            architecture: What to score.
            budget: Ignored.
        """
        start = time.perf_counter()
        value = synflow(Network(architecture, seed=self.seed))
        return Estimate(
            value, time.perf_counter() - start, {"estimator": self.name, "seed": self.seed}
        )
