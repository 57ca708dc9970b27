"""GraSP: how much the weights keep the gradient flowing."""

import math
from functools import partial

import torch
from torch import Tensor

from hwnas.estimators.batch_score import BatchScore, loss_gradients, trace
from hwnas.nets.network import Network


def grasp(network: Network, images: Tensor, labels: Tensor) -> float:
    """``−Σθ·(Hg)`` with g the gradient and H the Hessian of the mean cross-entropy.

    Wang et al., 2020, with the sign in which Abdelfattah et al., 2021, use it as
    a score for architectures. It may be negative. It needs neither batch norm
    nor ReLU; in a ViT GELU, layer norm and attention have second derivatives of
    their own, of which ReLU has none. Cost: one forward pass of the batch, one
    backward pass, and one backward pass through both.

    Args:
        network: Unchanged; batch norm uses the statistics of the batch.
        images: ``(N, C, H, W)``.
        labels: int64 ``(N,)``.

    Returns:
        The score; minus infinity where no weight reaches the output.
    """
    found = trace(network, images)
    slopes = loss_gradients(found, labels, found.weights, create_graph=True)
    if not any(bool(slope.any()) for slope in slopes):
        return -math.inf
    # The derivative of g·g' with g' held constant is Hg.
    product = torch.stack([(slope.detach() * slope).sum() for slope in slopes]).sum()
    bent = torch.autograd.grad(product, found.weights, allow_unused=True, materialize_grads=True)
    return -sum(
        float((weight * change).sum().item())
        for weight, change in zip(found.weights, bent, strict=True)
    )


GraspScore = partial(BatchScore, "grasp", grasp)
"""GraSP of a new network of each architecture, see :func:`grasp`."""
