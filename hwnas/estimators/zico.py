"""ZiCo: how large the gradients are against how much they differ between batches."""

import math
from functools import partial

import torch
from torch import Tensor

from hwnas.errors import SpecError
from hwnas.estimators.batch_score import BatchScore, loss_gradients, trace
from hwnas.nets.network import Network

BATCHES = 2


def zico(network: Network, images: Tensor, labels: Tensor, *, batches: int = BATCHES) -> float:
    """``Σ log Σ E|g|/σ(g)``: outer sum over layers, inner over a layer's weights.

    Li et al., 2023. Mean and standard deviation are over the gradients of a few
    batches. (The authors' code adds each batch's gradient to those before it;
    here each batch has its own, as in the paper.) Weights whose gradient does
    not vary, and layers that have no others, are left out, as in their code. It
    needs neither batch norm nor ReLU, so that a ViT is scored as any other
    network. Cost: one forward and one backward pass of all images, in
    ``batches`` parts.

    Args:
        network: Unchanged; batch norm uses the statistics of each batch.
        images: ``(N, C, H, W)``, shared out equally.
        labels: int64 ``(N,)``.
        batches: How many.

    Returns:
        The score; minus infinity where no gradient varies, as where no weight reaches
        the output.

    Raises:
        SpecError: There are fewer than two batches, or not one image for each.
    """
    if not 2 <= batches <= len(images):
        raise SpecError(
            f"zico: batches must be 2 to the number of images, {len(images)}; received {batches}"
        )
    runs = []
    for part, target in zip(
        images.tensor_split(batches), labels.tensor_split(batches), strict=True
    ):
        found = trace(network, part)
        runs.append(loss_gradients(found, target, found.weights))
    logarithms = []
    for slopes in zip(*runs, strict=True):
        stacked = torch.stack(slopes).double()
        spread = stacked.std(0, correction=0)
        varies = spread != 0
        ratio = stacked.abs().mean(0)[varies] / spread[varies]
        if len(ratio):
            logarithms.append(math.log(float(ratio.sum().item())))
    return sum(logarithms) if logarithms else -math.inf


ZicoScore = partial(BatchScore, "zico", zico, batch_size=128)
"""ZiCo of a new network of each architecture, see :func:`zico`."""
