import pytest
import torch

from hwnas.nets.hypernet_decoder import Decoder, tiled
from hwnas.nets.hypernet_graph import Slice
from hwnas.spaces.layers import BatchNorm, Conv2d, Linear
from hwnas.spaces.token_layers import PatchConv2d, TokenLinear

HIDDEN, CHANNELS, KERNEL, CLASSES = 16, 24, 5, 3


@pytest.fixture
def decoder():
    generator = torch.Generator().manual_seed(0)
    return Decoder(HIDDEN, CLASSES, CHANNELS, KERNEL, generator).requires_grad_(False)


@pytest.fixture
def states():
    return torch.randn(4, HIDDEN, generator=torch.Generator().manual_seed(1))


def wanted(layer, shape, node=0, parameter="weight"):
    return Slice(f"{node}.{parameter}", layer, parameter, shape, node)


def test_a_tensor_is_repeated_and_cut_off():
    values = torch.arange(6.0).view(2, 3)
    assert tiled(values, (3, 4)).tolist() == [[0, 1, 2, 0], [3, 4, 5, 3], [0, 1, 2, 0]]
    assert tiled(values, (1, 2)).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv2d(20, 3), (20, 6, 3, 3)),
        (Conv2d(70, 1), (70, 50, 1, 1)),
        (Conv2d(40, 5, groups=40), (40, 1, 5, 5)),
        (Conv2d(8, 7), (8, 4, 7, 7)),
        (PatchConv2d(48, 8), (48, 3, 8, 8)),
        (PatchConv2d(48, 4), (48, 3, 4, 4)),
        (TokenLinear(96), (96, 48)),
        (Linear(CLASSES), (CLASSES, 64)),
        (Linear(50), (50, 8)),
        (BatchNorm(), (65,)),
    ],
)
def test_every_shape_is_made_and_finite(decoder, states, layer, shape):
    (found,) = decoder(states, [wanted(layer, shape)])
    assert tuple(found.shape) == shape and found.isfinite().all()


def test_small_kernels_are_the_middle_of_large_ones(decoder, states):
    large, small = decoder(
        states, [wanted(Conv2d(8, 5), (8, 8, 5, 5)), wanted(Conv2d(4, 3), (4, 8, 3, 3))]
    )
    # Normalised by their own fan-in, 200 and 72.
    torch.testing.assert_close(small, large[:4, :, 1:4, 1:4] * (200 / 72) ** 0.5)


def test_channels_beyond_the_largest_kernel_repeat_it(decoder, states):
    (found,) = decoder(states, [wanted(Conv2d(30, 1), (30, 25, 1, 1))])
    torch.testing.assert_close(found[CHANNELS:], found[: 30 - CHANNELS])
    torch.testing.assert_close(found[:, CHANNELS], found[:, 0])


def test_weights_begin_with_the_variance_of_their_operation(decoder):
    states = torch.randn(200, HIDDEN, generator=torch.Generator().manual_seed(2))
    for layer, shape, beta in (
        (Conv2d(24, 3), (24, 24, 3, 3), 2.0),
        (Conv2d(24, 3, groups=24), (24, 1, 3, 3), 1.0),
        (TokenLinear(24), (24, 24), 1.0),
    ):
        found = torch.stack(decoder(states, [wanted(layer, shape, n) for n in range(200)]))
        fan_in = found[0][0].numel()
        # States differ and weights of one state are correlated, so only the size is asked for.
        assert float(found.square().mean()) * fan_in == pytest.approx(beta, rel=0.4)


def test_norms_and_biases_begin_neutral_and_stay_bounded(decoder, states):
    asked = [
        wanted(BatchNorm(), (30,)),
        wanted(BatchNorm(), (30,), parameter="bias"),
        wanted(Conv2d(30, 1, bias=True), (30,), parameter="bias"),
    ]
    weight, *biases = decoder(states, asked)
    assert (weight == 1).all() and all((bias == 0).all() for bias in biases)
    decoder.vector_out.bias.fill_(1e3)
    weight, *biases = decoder(states, asked)
    assert (weight == 2).all() and all((bias == 1).all() for bias in biases)


def test_parameters_come_in_the_order_asked_for(decoder, states):
    asked = [
        wanted(Conv2d(8, 3), (8, 4, 3, 3), node=2),
        wanted(BatchNorm(), (8,), node=0),
        wanted(Conv2d(8, 3), (8, 4, 3, 3), node=1),
    ]
    together = decoder(states, asked)
    apart = [decoder(states, [own])[0] for own in asked]
    for left, right in zip(together, apart, strict=True):
        torch.testing.assert_close(left, right)
    assert not torch.allclose(together[0], together[2])
