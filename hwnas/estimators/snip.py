"""SNIP: how much the loss depends on whether the weights are there."""

import math
from functools import partial

from torch import Tensor

from hwnas.estimators.batch_score import BatchScore, loss_gradients, trace
from hwnas.nets.network import Network


def snip(network: Network, images: Tensor, labels: Tensor) -> float:
    """``Σ|θ·∂L/∂θ|``, the derivatives by a mask that multiplies each weight, at one.

    Lee et al., 2019, as a score for architectures by Abdelfattah et al., 2021; L
    is the mean cross-entropy. It needs neither batch norm nor ReLU: in a ViT it
    is taken over patches, projections and MLPs. Cost: one forward and one
    backward pass of the batch.

    Args:
        network: Unchanged; batch norm uses the statistics of the batch.
        images: ``(N, C, H, W)``.
        labels: int64 ``(N,)``.

    Returns:
        The score; minus infinity where no weight reaches the output.
    """
    found = trace(network, images)
    slopes = loss_gradients(found, labels, found.weights)
    total = sum(
        float((weight * slope).abs().sum().item())
        for weight, slope in zip(found.weights, slopes, strict=True)
    )
    return total if total != 0 else -math.inf


SnipScore = partial(BatchScore, "snip", snip)
"""SNIP of a new network of each architecture, see :func:`snip`."""
