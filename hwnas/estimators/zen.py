"""Zen-score: how much a plain network of Gaussian weights turns with its input, without data."""

import math
import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hwnas.errors import SpecError
from hwnas.estimators.base import Budget, Estimate
from hwnas.estimators.batch_score import WEIGHTED, with_batch_statistics
from hwnas.nets.layers import Statistics, live_nodes
from hwnas.nets.network import Network
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.layers import Add, BatchNorm, GlobalAveragePool, Layer
from hwnas.spaces.token_layers import FirstToken, LayerNorm, MeanToken

STEP = 0.01
"""How far the second input is from the first, in standard deviations."""

BATCH_SIZE = 16
REPEATS = 4

_NORMS = (BatchNorm, LayerNorm)
_POOLS = (GlobalAveragePool, FirstToken, MeanToken)


def gaussian_network(architecture: Architecture, generator: torch.Generator) -> Network:
    """A network whose weights are drawn from N(0, 1); norms are the identity, biases zero.

    Args:
        architecture: What to build.
        generator: Source of the weights, of live layers only, first to last.
    """
    network = Network(architecture)
    for position, item in enumerate(architecture.placed):
        for node in live_nodes(item.graph):
            shapes = node.layer.parameter_shapes(*item.graph.node_input_shapes(node))
            if "weight" in shapes and not isinstance(node.layer, _NORMS):
                path = f"blocks.{position}.{node.name}.weight"
                with torch.no_grad():
                    network.get_parameter(path).normal_(generator=generator)
    return network


class PlainPass:
    """A pass without residual links, as an interpreter of layers.

    A summand is a link, and left out, where every weight behind it is behind the
    other summand too: the shortcut of a residual block, with or without a pool on
    it. One with a convolution of its own is a branch, and stays.

    After the pass, ``scale`` is the sum over norms of the logarithm of the
    deviation of what they received, and ``features`` is what the last pool over
    pixels or tokens received; ``None`` where there is no such pool.
    """

    def __init__(self) -> None:
        self.scale = 0.0
        self.features: Tensor | None = None
        # By identity: the tensor, which must live for its identity to mean something,
        # and a bit for each weighted layer behind it.
        self._behind: dict[int, tuple[Tensor, int]] = {}
        self._layers = 0

    def __call__(
        self,
        layer: Layer,
        inputs: Sequence[Tensor],
        parameters: Mapping[str, Tensor],
        state: Statistics | None,
    ) -> Tensor:
        """What :func:`hwnas.nets.layers.apply_layer` gives, but for sums."""
        behind = [self._behind.get(id(tensor), (tensor, 0))[1] for tensor in inputs]
        if isinstance(layer, Add) and behind[0] != behind[1]:
            for kept, left in ((0, 1), (1, 0)):
                if behind[left] & behind[kept] == behind[left]:
                    return inputs[kept]
        if isinstance(layer, _NORMS):
            self.scale += _log_deviation(layer, inputs[0])
        if isinstance(layer, _POOLS):
            self.features = inputs[0]
        output = with_batch_statistics(layer, inputs, parameters, state)
        own = 0
        for bits in behind:
            own |= bits
        if isinstance(layer, WEIGHTED):
            own |= 1 << self._layers
            self._layers += 1
        self._behind[id(output)] = (output, own)
        return output


def _log_deviation(layer: Layer, tensor: Tensor) -> float:
    """The logarithm of the root of the mean variance: of channels, or of tokens."""
    places = (0, 2, 3) if isinstance(layer, BatchNorm) else (-1,)
    return float(tensor.var(places, correction=0).mean().sqrt().log().item())


@torch.no_grad()
def zen(
    network: Network, *, seed: int = 0, batch_size: int = BATCH_SIZE, repeats: int = REPEATS
) -> float:
    """``log E‖f(x) − f(x+0.01ε)‖₁ + Σ log σ``, for x, ε and all weights from N(0, 1).

    Lin et al., 2021. The features f are what the final pool receives, in the
    network without residual links, see :class:`PlainPass`; σ is the deviation of
    what a batch norm receives, the root of the mean of its channels' variances.
    (The authors' code takes the running variances after two passes, one tenth of
    the way from 1 to those of each; here they are the batch's own, as in the
    paper. It also leaves out links with a convolution.)

    A ViT has layer norms, which count as batch norms do, with the variances of
    tokens instead of channels, and without its links its tokens meet in attention
    only. That is further than the paper goes. Cost: ``2·repeats`` forward passes
    of ``batch_size`` images.

    Args:
        network: Unchanged; its architecture counts, its weights do not.
        seed: Seed of weights and inputs.
        batch_size: Inputs of one draw.
        repeats: Draws, over which the score is averaged.

    Returns:
        The score; minus infinity where no weight reaches the output.

    Raises:
        SpecError: There is no draw, or no input.
    """
    if repeats < 1 or batch_size < 1:
        raise SpecError(
            f"zen: repeats and batch_size must be at least 1, received {repeats} and {batch_size}"
        )
    generator = torch.Generator().manual_seed(seed)
    shape = (batch_size, *network.architecture.input_shape)
    scores = []
    for _ in range(repeats):
        gaussian = gaussian_network(network.architecture, generator)
        images = torch.randn(shape, generator=generator)
        moved = images + STEP * torch.randn(shape, generator=generator)
        first, second = PlainPass(), PlainPass()
        outputs = [gaussian.interpret(images, first), gaussian.interpret(moved, second)]
        if first.features is not None and second.features is not None:
            outputs = [first.features, second.features]
        distance = (outputs[0] - outputs[1]).flatten(1).abs().sum(1).mean()
        scores.append(float(distance.log().item()) + first.scale)
    return math.fsum(scores) / repeats if all(map(math.isfinite, scores)) else min(scores)


class ZenScore:
    """The Zen-score of each architecture.

    Args:
        seed: Seed of weights and inputs.
        batch_size: Inputs of one draw.
        repeats: Draws, over which the score is averaged.
    """

    name = "zen"

    def __init__(
        self, *, seed: int = 0, batch_size: int = BATCH_SIZE, repeats: int = REPEATS
    ) -> None:
        self.seed = seed
        self.batch_size = batch_size
        self.repeats = repeats

    def estimate(self, architecture: Architecture, budget: Budget) -> Estimate:
        """The score of one architecture, see :func:`zen`; the budget does not matter.

        Args:
            architecture: What to score.
            budget: Ignored.

        Raises:
            SpecError: There is no draw, or no input.
        """
        start = time.perf_counter()
        value = zen(
            Network(architecture),
            seed=self.seed,
            batch_size=self.batch_size,
            repeats=self.repeats,
        )
        provenance = {
            "estimator": self.name,
            "seed": self.seed,
            "images": self.batch_size,
            "repeats": self.repeats,
        }
        return Estimate(value, time.perf_counter() - start, provenance)
