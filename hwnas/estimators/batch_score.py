"""What the scores of one batch of images share: a pass that keeps nothing, and its gradients."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hwnas.estimators.base import Budget, Estimate
from hwnas.nets.layers import Statistics, apply_layer
from hwnas.nets.network import Network
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.layers import Activation, BatchNorm, Conv2d, Layer, Linear
from hwnas.spaces.token_layers import PatchConv2d, TokenLinear
from hwnas.training.evaluation import check_fit
from hwnas.training.images import ImageData

BATCH_SIZE = 64

WEIGHTED = (Conv2d, Linear, PatchConv2d, TokenLinear)
"""The layers whose weights are scored, as in the authors' code: convolutions and matrix
products; no bias, no norm, no class token and no positions."""

Score = Callable[[Network, Tensor, Tensor], float]
"""From a network, images ``(N, C, H, W)`` and labels ``(N,)`` to a score."""


class Trace(NamedTuple):
    """What a batch left on its way through a network.

    Args:
        logits: ``(N, classes)``, differentiable in all that follows.
        weights: Of the layers ``WEIGHTED`` on the way, first to last; apart from the
            network's own, with which they share memory.
        outputs: What these layers gave, ``(N, channels, H, W)``, ``(N, tokens,
            features)`` or ``(N, features)``.
    """

    logits: Tensor
    weights: list[Tensor]
    outputs: list[Tensor]


def with_batch_statistics(
    layer: Layer,
    inputs: Sequence[Tensor],
    parameters: Mapping[str, Tensor],
    state: Statistics | None,
) -> Tensor:
    """What a layer gives in training, except that batch norm keeps nothing.

    One image of one pixel has no statistics of its own; batch norm then takes the
    running ones, which are 0 and 1 in a network without training.
    """
    if isinstance(layer, Activation) and layer.kind == "hardsigmoid":
        # torch has no second derivative of its own hard sigmoid, which GraSP needs.
        return functional.relu6(inputs[0] + 3) / 6
    alone = isinstance(layer, BatchNorm) and inputs[0].numel() == inputs[0].shape[1]
    kept = state._replace(update=False) if alone and state is not None else None
    return apply_layer(layer, inputs, parameters, kept)


def trace(network: Network, images: Tensor) -> Trace:
    """A pass with the statistics of the batch, and what can be differentiated of it.

    Layers that the output does not depend on are not computed and not listed.

    Args:
        network: Unchanged, gradients and running statistics included.
        images: ``(N, C, H, W)``.
    """
    weights: list[Tensor] = []
    outputs: list[Tensor] = []

    def interpret(
        layer: Layer,
        inputs: Sequence[Tensor],
        parameters: Mapping[str, Tensor],
        state: Statistics | None,
    ) -> Tensor:
        own = {name: value.detach() for name, value in parameters.items()}
        if not isinstance(layer, WEIGHTED):
            return with_batch_statistics(layer, inputs, own, state)
        weights.append(own["weight"].requires_grad_())
        output = with_batch_statistics(layer, inputs, own, state)
        outputs.append(output)
        return output

    return Trace(network.interpret(images, interpret), weights, outputs)


def loss_gradients(
    found: Trace, labels: Tensor, of: Sequence[Tensor], *, create_graph: bool = False
) -> tuple[Tensor, ...]:
    """Gradients of the mean cross-entropy.

    Args:
        found: The pass.
        labels: int64 ``(N,)``.
        of: The trace's weights, or its outputs.
        create_graph: Whether the gradients are to be differentiated themselves.

    Returns:
        One for each of ``of``, in its shape.
    """
    if not of:
        return ()
    loss = functional.cross_entropy(found.logits, labels)
    return torch.autograd.grad(loss, of, create_graph=create_graph)


def distinct_images(data: ImageData, count: int, seed: int) -> list[int]:
    """Indices of training images in random order, without those that repeat another.

    Args:
        data: The images.
        count: How many; fewer where there are not as many different ones.
        seed: Seed of the order.
    """
    images = data.split("train").images
    order = np.random.default_rng(seed).permutation(len(images))
    seen: dict[bytes, int] = {}
    for index in order.tolist():
        seen.setdefault(images[index].tobytes(), index)
        if len(seen) == count:
            break
    return list(seen.values())


def image_batch(
    data: ImageData, architecture: Architecture, count: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Different training images in the shape that an architecture takes, and their labels.

    Args:
        data: The images.
        architecture: What takes them.
        count: How many; fewer where there are not as many different ones.
        seed: Seed of the draw.

    Returns:
        float32 ``(N, C, H, W)`` and int64 ``(N,)``.

    Raises:
        DataError: The images cannot be given to the architecture.
    """
    channels, height, width = architecture.input_shape
    index = distinct_images(data, count, seed)
    images = data.tensor("train", (height, width), channels)[index]
    return images, data.labels("train")[index]


class BatchScore:
    """A score of a new network of each architecture on one batch of training images.

    Args:
        name: The score's name in the registry.
        score: What computes it.
        data: The images.
        seed: Seed of the weights and of the batch.
        batch_size: Images in the batch; fewer where there are not as many different ones.
    """

    def __init__(
        self,
        name: str,
        score: Score,
        data: ImageData,
        *,
        seed: int = 0,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self.name = name
        self.score = score
        self.data = data
        self.seed = seed
        self.batch_size = batch_size

    def estimate(self, architecture: Architecture, budget: Budget) -> Estimate:
        """The score of one architecture; higher is better, and the budget does not matter.

        Args:
            architecture: What to score.
            budget: Ignored.

        Raises:
            DataError: The images cannot be given to the architecture, or their
                classes are not its own.
        """
        start = time.perf_counter()
        network = Network(architecture, seed=self.seed)
        check_fit(network, self.data)
        images, labels = image_batch(self.data, architecture, self.batch_size, self.seed)
        value = self.score(network, images, labels)
        provenance = {
            "estimator": self.name,
            "data": self.data.name,
            "seed": self.seed,
            "images": len(images),
        }
        return Estimate(value, time.perf_counter() - start, provenance)
