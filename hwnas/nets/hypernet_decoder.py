"""From the state of a node to its weights, whatever their shape."""

import math
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.nets.hypernet_gnn import draw
from hwnas.nets.hypernet_graph import Slice
from hwnas.spaces.layers import BatchNorm, Conv2d, Linear, Shape
from hwnas.spaces.token_layers import LayerNorm

CLASSIFIER_START = 0.1
"""Share of the usual size with which classifiers begin, so that the first loss is a guess's."""

GAIN = 5 / 3
"""What keeps the mean square of weights behind tanh at about 1."""


class Decoder(nn.Module):
    """Weights of any shape as slices and tiles of the largest ones that it makes.

    As in GHN-2 (Knyazev et al., 2021, and its code): a convolution is a slice of a kernel
    of ``channels`` × ``channels``, centred where it is smaller than ``kernel``, repeated where
    it has more channels; classifiers have a last layer of their own, vectors another decoder.
    Normalised by the operation: kernels and matrices by √(β / fan-in), β = 2 for convolutions
    and 1 for depthwise ones and matrices; weights of norms are 2·sigmoid(x/2), biases
    tanh(x/5). Unlike there, vectors begin at their neutral value, and a classifier small.

    Only what is asked for is computed of the largest kernel, since matrix products of the
    last layer are what decoding costs.

    Args:
        hidden: Numbers in a state.
        classes: Outputs of a classifier.
        channels: Channels of the largest kernel, in and out.
        kernel: Its height and width, pixels.
        generator: Source of the initial weights.
    """

    def __init__(
        self, hidden: int, classes: int, channels: int, kernel: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.classes, self.channels, self.kernel = classes, channels, kernel
        self._widths = (2 * hidden, 4 * hidden)
        first, second = self._widths
        self.place = nn.Linear(hidden, first * kernel * kernel)
        self.mix = nn.Linear(first, second)
        self.dense = nn.Linear(second, channels * channels)
        self.classifier = nn.Linear(second, classes * channels)
        self.vector_in = nn.Linear(hidden, first)
        self.vector_out = nn.Linear(first, 2 * channels)
        draw(self, generator)
        with torch.no_grad():
            for layer in (self.mix, self.dense, self.classifier):
                layer.weight.mul_(GAIN)
            self.classifier.weight.mul_(CLASSIFIER_START)
            self.vector_out.weight.zero_()

    def forward(self, states: Tensor, wanted: Sequence[Slice]) -> list[Tensor]:
        """The parameters, in the order in which they are asked for.

        Args:
            states: ``(nodes, hidden)``.
            wanted: What to decode; ``node`` is the row of ``states``.
        """
        groups: dict[tuple[str, Shape], list[int]] = defaultdict(list)
        for index, own in enumerate(wanted):
            groups[self._group(own)].append(index)
        found: list[Tensor | None] = [None] * len(wanted)
        for (form, shape), indices in groups.items():
            rows = states[torch.tensor([wanted[index].node for index in indices])]
            decoded = self._vectors(rows) if form == "vector" else self._kernels(rows, form, shape)
            for index, part in zip(indices, decoded.unbind(), strict=True):
                found[index] = self._fitted(part, wanted[index])
        return [item for item in found if item is not None]

    def _group(self, own: Slice) -> tuple[str, Shape]:
        """What is decoded together: the form, and the part of the largest kernel."""
        if len(own.shape) == 1:
            return "vector", ()
        outputs = self.classes if isinstance(own.layer, Linear) else self.channels
        side = min(own.shape[2], self.kernel) if len(own.shape) > 2 else 1
        part = (min(own.shape[0], outputs), min(own.shape[1], self.channels), side)
        return ("classifier" if isinstance(own.layer, Linear) else "dense"), part

    def _vectors(self, states: Tensor) -> Tensor:
        """Weights and biases, ``(n, 2, channels)``."""
        decoded: Tensor = self.vector_out(functional.relu(self.vector_in(states)))
        return decoded.view(len(states), 2, self.channels)

    def _kernels(self, states: Tensor, form: str, part: Shape) -> Tensor:
        """Slices ``(n, outputs, inputs, side, side)`` of the largest kernels."""
        outputs, inputs, side = part
        last = self.classifier if form == "classifier" else self.dense
        first, second = self._widths
        corner = (self.kernel - side) // 2
        inner = slice(corner, corner + side)
        square = (first, self.kernel, self.kernel)
        weight = self.place.weight.view(*square, -1)[:, inner, inner].flatten(0, 2)
        bias = self.place.bias.view(square)[:, inner, inner].flatten()
        placed = torch.tanh(functional.linear(states, weight, bias))
        placed = placed.view(len(states), first, side * side).transpose(1, 2)
        mixed = torch.tanh(self.mix(placed))
        weight = last.weight.view(-1, self.channels, second)[:outputs, :inputs].flatten(0, 1)
        bias = last.bias.view(-1, self.channels)[:outputs, :inputs].flatten()
        kernels = functional.linear(mixed, weight, bias).transpose(1, 2)
        return kernels.reshape(len(states), outputs, inputs, side, side)

    def _fitted(self, decoded: Tensor, own: Slice) -> Tensor:
        """A decoded slice tiled to its shape and normalised for its operation."""
        if len(own.shape) == 1:
            vector = tiled(decoded[int(own.parameter != "weight")], own.shape)
            if isinstance(own.layer, BatchNorm | LayerNorm) and own.parameter == "weight":
                return 2 * torch.sigmoid(0.5 * vector)
            return torch.tanh(0.2 * vector)
        flat = decoded if len(own.shape) > 2 else decoded[:, :, 0, 0]
        relu = isinstance(own.layer, Conv2d) and own.shape[1] > 1
        return tiled(flat, own.shape) * math.sqrt((2 if relu else 1) / math.prod(own.shape[1:]))


def tiled(values: Tensor, shape: Shape) -> Tensor:
    """A tensor repeated along each dimension and cut off, in the shape that is wanted.

    Args:
        values: Of as many dimensions as ``shape``.
        shape: The shape of the result.
    """
    repeats = [-(-size // own) for size, own in zip(shape, values.shape, strict=True)]
    if max(repeats) > 1:
        values = values.repeat(repeats)
    return values[tuple(slice(size) for size in shape)]
