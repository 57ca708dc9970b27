import math

import pytest
import torch

from hwnas.nets import apply_layer
from hwnas.nets.bounds import FIXED, FREE, bounded
from hwnas.spaces.channel_layers import ChannelPart, ChannelShuffle, Concat
from hwnas.spaces.layers import (
    ACTIVATIONS,
    Activation,
    Add,
    Conv2d,
    Flatten,
    GlobalAveragePool,
    Pool2d,
)

LAYERS = (
    *map(Activation, ACTIVATIONS),
    Pool2d("max", 3, 2),
    Pool2d("average", 3, 1),
    GlobalAveragePool(),
    Flatten(),
    ChannelPart(1, 2),
    ChannelShuffle(2),
    Concat(),
    Add(),
)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize("bounds", [(-9.0, 9.0), (0.0, 4.0), (-2.0, -1.0)])
def test_outputs_are_within_their_bounds(layer, bounds):
    low, high = bounds
    generator = torch.Generator().manual_seed(0)
    images = [
        low + (high - low) * torch.rand(4, 4, 6, 6, generator=generator) for _ in range(layer.arity)
    ]
    output = apply_layer(layer, images, {})
    lowest, highest = bounded(layer, [bounds] * layer.arity)
    assert lowest - 1e-6 <= float(output.min()) and float(output.max()) <= highest + 1e-6


@pytest.mark.parametrize("kind", FIXED)
def test_activations_change_nothing_where_they_are_fixed(kind):
    values = torch.linspace(*(min(end, 50.0) for end in FIXED[kind]), 20)
    assert torch.equal(apply_layer(Activation(kind), [values], {}), values)
    once = bounded(Activation(kind), [FREE])
    assert once == FIXED[kind] and bounded(Activation(kind), [once]) == once


def test_what_weights_make_is_not_bounded():
    assert bounded(Conv2d(4, 3), [(0.0, 1.0)]) == (-math.inf, math.inf)
