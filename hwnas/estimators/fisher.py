"""Fisher: how much the loss depends on whether the channels are there."""

import math
from functools import partial

from torch import Tensor

from hwnas.estimators.batch_score import BatchScore, loss_gradients, trace
from hwnas.nets.network import Network

_PLACES = {4: (2, 3), 3: (1,)}
"""Where a channel has its places: behind the channels of images, before the features of tokens."""


def fisher(network: Network, images: Tensor, labels: Tensor) -> float:
    """``Σ ½·mean((Σ a·∂L/∂a)²)``: inner sum over a channel, mean over images, sum over channels.

    Theis et al., 2018; as a score for architectures by Turner et al., 2020, and
    Abdelfattah et al., 2021. The activations a are what convolutions and linear
    layers give; L is the mean cross-entropy. (The latter's code counts a channel
    once for each of its weights; here it counts once, as in the papers.) In a
    ViT a channel is a feature, and the inner sum goes over the tokens. Cost: one
    forward and one backward pass of the batch.

    Args:
        network: Unchanged; batch norm uses the statistics of the batch.
        images: ``(N, C, H, W)``.
        labels: int64 ``(N,)``.

    Returns:
        The score; minus infinity where no weight reaches the output.
    """
    found = trace(network, images)
    slopes = loss_gradients(found, labels, found.outputs)
    total = 0.0
    for output, slope in zip(found.outputs, slopes, strict=True):
        product = (output * slope).detach()
        places = _PLACES.get(product.ndim)
        channels = product if places is None else product.sum(places)
        total += float((channels**2).mean(0).sum().item()) / 2
    return total if total != 0 else -math.inf


FisherScore = partial(BatchScore, "fisher", fisher)
"""Fisher of a new network of each architecture, see :func:`fisher`."""
