"""Gradient norm: how large a first step of training would be."""

import math
from functools import partial

from torch import Tensor

from hwnas.estimators.batch_score import BatchScore, loss_gradients, trace
from hwnas.nets.network import Network


def grad_norm(network: Network, images: Tensor, labels: Tensor) -> float:
    """``Σ‖∂L/∂θ‖``, the Euclidean norms of the layers' gradients, summed over the layers.

    Abdelfattah et al., 2021; L is the mean cross-entropy. It needs neither batch
    norm nor ReLU, so that a ViT is scored as any other network. Cost: one forward
    and one backward pass of the batch.

    Args:
        network: Unchanged; batch norm uses the statistics of the batch.
        images: ``(N, C, H, W)``.
        labels: int64 ``(N,)``.

    Returns:
        The score; minus infinity where no weight reaches the output.
    """
    found = trace(network, images)
    slopes = loss_gradients(found, labels, found.weights)
    total = sum(float(slope.norm().item()) for slope in slopes)
    return total if total != 0 else -math.inf


GradNormScore = partial(BatchScore, "grad_norm", grad_norm)
"""The gradient norm of a new network of each architecture, see :func:`grad_norm`."""
