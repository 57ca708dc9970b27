"""GradSign: on how many weights the images agree about the direction of a first step."""

import math
from functools import partial

import torch
from torch import Tensor

from hwnas.estimators.batch_score import BatchScore, loss_gradients, trace
from hwnas.nets.network import Network


def gradsign(network: Network, images: Tensor, labels: Tensor) -> float:
    """``Σₖ|Σᵢ sign(∂ℓᵢ/∂θₖ)|`` over weights k and images i, ℓᵢ the cross-entropy of one image.

    Zhang and Jia, 2022. Each image passes alone, as in the authors' code, so that
    batch norm uses the statistics of that image. In a ViT, whose layer norm looks
    at one image in any case, the derivatives are those of training. Cost: N
    forward and N backward passes of one image.

    Args:
        network: Unchanged.
        images: ``(N, C, H, W)``.
        labels: int64 ``(N,)``.

    Returns:
        The score, a whole number of at most N times the number of weights; minus
        infinity where no weight reaches the output.
    """
    votes: list[Tensor] = []
    for image, label in zip(images.split(1), labels.split(1), strict=True):
        found = trace(network, image)
        slopes = loss_gradients(found, label, found.weights)
        votes = votes or [torch.zeros_like(slope) for slope in slopes]
        for vote, slope in zip(votes, slopes, strict=True):
            vote += slope.sign()
    # Sums of whole numbers are exact in double precision.
    total = sum(float(vote.abs().sum(dtype=torch.float64).item()) for vote in votes)
    return total if total != 0 else -math.inf


GradSignScore = partial(BatchScore, "gradsign", gradsign)
"""GradSign of a new network of each architecture, see :func:`gradsign`."""
