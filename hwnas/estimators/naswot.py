"""NASWOT: how well the activations of a network without training tell images apart."""

import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hwnas.estimators.base import Budget, Estimate
from hwnas.estimators.batch_score import image_batch
from hwnas.nets.layers import Statistics, apply_layer
from hwnas.nets.network import Network
from hwnas.nets.parameters import channels_last
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.layers import Activation, Layer
from hwnas.training.images import ImageData

BATCH_SIZE = 128


def activation_kernel(network: Network, images: Tensor) -> Tensor:
    """In how many units each two images agree, summed over all activation layers.

    Args:
        network: Unchanged; batch norm uses the statistics of the batch.
        images: ``(N, C, H, W)``.

    Returns:
        ``c·cᵀ + (1−c)·(1−c)ᵀ`` for the codes c, 1 where the input of an
        activation is positive and 0 elsewhere; float64 ``(N, N)``.
    """
    count = len(images)
    kernel = torch.zeros(count, count, dtype=torch.float64)

    def interpret(
        layer: Layer,
        inputs: Sequence[Tensor],
        parameters: Mapping[str, Tensor],
        state: Statistics | None,
    ) -> Tensor:
        if isinstance(layer, Activation):
            code = (inputs[0] > 0).flatten(1).float()
            # Counts below 2**24 are exact in single precision, and a layer has fewer units.
            both, ones = code @ code.T, code.sum(1)
            # (1−c)(1−c)ᵀ without a second product: units − ones of either + ones of both.
            kernel.add_(2 * both + code.shape[1] - ones[:, None] - ones[None, :])
        return apply_layer(layer, inputs, parameters, None)

    with torch.no_grad():
        network.interpret(images.contiguous(memory_format=channels_last(network)), interpret)
    return kernel


def naswot(network: Network, images: Tensor) -> float:
    """``log|det K|`` of the activation kernel (Mellor et al., 2021).

    Where two images have one code, K is singular and the logarithm has no
    value; its eigenvalues are therefore taken as no smaller than what rounding
    leaves of the largest, which changes no score of a regular kernel.

    Args:
        network: Unchanged.
        images: ``(N, C, H, W)``, all different.
    """
    values = torch.linalg.eigvalsh(activation_kernel(network, images))
    # A network without activations has K = 0.
    largest = max(float(values[-1].item()), 1.0)
    floor = largest * len(images) * torch.finfo(values.dtype).eps
    return float(values.clamp_min(floor).log().sum().item())


class NaswotScore:
    """NASWOT of a new network of each architecture on one batch of training images.

    Args:
        data: The images.
        seed: Seed of the weights and of the batch.
        batch_size: Images in the batch; fewer where there are not as many different ones.
    """

    name = "naswot"

    def __init__(self, data: ImageData, *, seed: int = 0, batch_size: int = BATCH_SIZE) -> None:
        self.data = data
        self.seed = seed
        self.batch_size = batch_size

    def estimate(self, architecture: Architecture, budget: Budget) -> Estimate:
        """The score of one architecture, see :func:`naswot`; the budget does not matter.

        Args:
            architecture: What to score.
            budget: Ignored.

        Raises:
            DataError: The images cannot be given to the architecture.
        """
        start = time.perf_counter()
        images, _ = image_batch(self.data, architecture, self.batch_size, self.seed)
        value = naswot(Network(architecture, seed=self.seed), images)
        provenance = {
            "estimator": self.name,
            "data": self.data.name,
            "seed": self.seed,
            "images": len(images),
        }
        return Estimate(value, time.perf_counter() - start, provenance)
