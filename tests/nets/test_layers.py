import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import torch

from hwnas.errors import SpecError
from hwnas.nets import Statistics, apply_layer, initial, live_nodes
from hwnas.spaces.channel_layers import ChannelPart, ChannelShuffle, Concat
from hwnas.spaces.graph import INPUT, GraphBuilder
from hwnas.spaces.layers import ACTIVATIONS, Activation, BatchNorm, Conv2d, Layer, Linear, Pool2d

CURVES = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hardsigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hardswish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x * scipy.stats.norm.cdf(x),
}


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations(kind):
    x = torch.linspace(-8, 8, 65)
    output = apply_layer(Activation(kind), [x], {}).numpy()
    assert output == pytest.approx(CURVES[kind](x.numpy()), abs=1e-5)


def test_average_pools_count_only_what_is_inside():
    ones = torch.ones(1, 1, 5, 5)
    assert torch.equal(apply_layer(Pool2d("average", 3, 1), [ones], {}), ones)


def test_channels_are_parted_and_shuffled():
    image = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert apply_layer(ChannelPart(1, 3), [image], {}).flatten().tolist() == [2, 3]
    assert apply_layer(ChannelShuffle(2), [image], {}).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    both = apply_layer(Concat(), [image, image[:, :1]], {})
    assert both.flatten().tolist() == [0, 1, 2, 3, 4, 5, 0]


def test_batch_norm_normalises_by_the_batch_or_by_running_statistics():
    images = torch.randn(8, 2, 3, 3, generator=torch.manual_seed(0))
    parameters = {"weight": torch.tensor([1.0, 2.0]), "bias": torch.tensor([0.0, 1.0])}
    free = apply_layer(BatchNorm(), [images], parameters)
    assert free.mean((0, 2, 3)).tolist() == pytest.approx([0, 1], abs=1e-5)
    assert free.std((0, 2, 3)).tolist() == pytest.approx([1, 2], abs=0.02)
    mean, variance = torch.zeros(2), torch.ones(2)
    apply_layer(BatchNorm(), [images], parameters, Statistics(mean, variance, True))
    assert torch.allclose(mean, 0.1 * images.mean((0, 2, 3)), atol=1e-6)
    assert torch.allclose(variance, 0.9 + 0.1 * images.var((0, 2, 3)), atol=1e-5)
    still = apply_layer(
        BatchNorm(), [images], parameters, Statistics(torch.ones(2), torch.full((2,), 4.0), False)
    )
    assert torch.allclose(still[:, 1], images[:, 1] - 1 + 1, atol=1e-4)


def test_initial_weights_have_the_variance_of_their_fan_out():
    value = initial(Conv2d(64, 3, groups=4), "weight", (64, 32, 3, 3), torch.manual_seed(0))
    assert float(value.std()) == pytest.approx((2 / (64 * 9 / 4)) ** 0.5, rel=0.05)
    assert torch.equal(initial(BatchNorm(), "weight", (3,), torch.manual_seed(0)), torch.ones(3))
    assert torch.equal(initial(Linear(3), "bias", (3,), torch.manual_seed(0)), torch.zeros(3))


def test_layers_that_nothing_depends_on_are_left_out():
    builder = GraphBuilder((2, 4, 4))
    builder.add("dead", Conv2d(5, 3), INPUT)
    builder.add("live", Conv2d(3, 1), INPUT)
    assert [node.name for node in live_nodes(builder.build())] == ["live"]


def test_an_unknown_layer_is_refused():
    with pytest.raises(SpecError, match="no meaning in torch"):
        apply_layer(Layer(), [torch.zeros(1)], {})


STRIDED = """
import torch
from hwnas.nets import apply_layer
from hwnas.spaces.layers import Conv2d

torch.set_num_threads(2)
layer = Conv2d(out_channels=16, kernel=1, stride=2)
weight = torch.randn(16, 8, 1, 1, requires_grad=True)
for batch in (63, 61, 33, 64):
    image = torch.randn(batch, 8, 16, 16).contiguous(memory_format=torch.channels_last)
    for _ in range(20):
        apply_layer(layer, [image], {"weight": weight}).square().sum().backward()
print("done")
"""


def test_strided_convolutions_of_few_channels_train_on_two_threads():
    # Without the contiguous input the process dies of a segmentation fault.
    result = subprocess.run([sys.executable, "-c", STRIDED], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "done\n"), result.stderr
