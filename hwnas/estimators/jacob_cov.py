"""Jacobian covariance: how differently a network without training treats different images."""

import math
from functools import partial

import torch
from torch import Tensor

from hwnas.estimators.batch_score import BatchScore, with_batch_statistics
from hwnas.nets.network import Network

OFFSET = 1e-5
"""What is added to eigenvalues, so that those of zero have a logarithm and an inverse."""


def jacob_cov(network: Network, images: Tensor) -> float:
    """``−Σ(log(v+k) + 1/(v+k))`` for the eigenvalues v of the images' correlations, k 1e-5.

    The first score of Mellor et al., 2020, as Abdelfattah et al., 2021, name it.
    What is correlated between the images is the derivative of the summed outputs
    by their pixels; the score is highest where nothing is. It needs neither batch
    norm nor ReLU, so that a ViT is scored as any other network. Cost: one forward
    and one backward pass of the batch, and the eigenvalues of ``N × N`` numbers.

    Args:
        network: Unchanged; batch norm uses the statistics of the batch.
        images: ``(N, C, H, W)``.

    Returns:
        The score, at most −N. An image on which no output depends has no
        correlation and counts as one that repeats another; minus infinity where
        this is so of all, since then no weight reaches the output.
    """
    pixels = images.detach().clone().requires_grad_()
    total = network.interpret(pixels, with_batch_statistics).sum()
    rows = torch.autograd.grad(total, pixels)[0].flatten(1).double()
    rows = rows - rows.mean(1, keepdim=True)
    lengths = rows.norm(dim=1, keepdim=True)
    if not bool(lengths.any()):
        return -math.inf
    rows = rows / torch.where(lengths > 0, lengths, 1.0)
    # Rounding makes eigenvalues of zero slightly negative, which has no logarithm.
    values = torch.linalg.eigvalsh(rows @ rows.T).clamp_min(0) + OFFSET
    return -float((values.log() + 1 / values).sum().item())


def _of_labelled(network: Network, images: Tensor, labels: Tensor) -> float:
    return jacob_cov(network, images)


JacobCovScore = partial(BatchScore, "jacob_cov", _of_labelled)
"""The Jacobian covariance of a new network of each architecture, see :func:`jacob_cov`."""
