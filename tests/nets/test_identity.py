import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch

from hwnas.nets import Statistics, apply_layer
from hwnas.nets.counterparts import counterparts
from hwnas.nets.identity import expected_moments, identity_values
from hwnas.nets.roles import Role
from hwnas.nets.wiring import Wired, Wiring
from hwnas.spaces import Architecture, BlockSpec
from hwnas.spaces.layers import BatchNorm, Conv2d

IMAGES = torch.randn(4, 6, 5, 5, generator=torch.Generator().manual_seed(0))
CONV = BlockSpec.of("conv", channels=6, kernel=3, stride=1, activation="relu")
HEAD = BlockSpec.of("classifier", classes=2)


def node(layer):
    return Wired("0.layer", 0, "layer", layer, ("image",), ((6, 5, 5),), (6, 5, 5))


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_convolution_gives_what_it_receives(groups, kernel):
    own = node(Conv2d(6, kernel, groups=groups, bias=True))
    fresh = {name: torch.randn(shape) for name, shape in own.parameter_shapes.items()}
    values = identity_values(own, fresh, None)
    assert torch.equal(apply_layer(own.layer, [IMAGES], values), IMAGES)


@pytest.mark.parametrize("known", [True, False])
def test_a_batch_norm_gives_what_it_receives(known):
    own = node(BatchNorm())
    fresh = {
        "weight": torch.ones(6),
        "bias": torch.zeros(6),
        "running_mean": torch.zeros(6),
        "running_var": torch.ones(6),
    }
    moments = (IMAGES.mean((0, 2, 3)), IMAGES.var((0, 2, 3), unbiased=False)) if known else None
    values = identity_values(own, fresh, moments)
    still = Statistics(values["running_mean"], values["running_var"], False)
    torch.testing.assert_close(
        apply_layer(own.layer, [IMAGES], values, still), IMAGES, rtol=1e-6, atol=1e-6
    )
    # With the true moments also by the statistics of the batch.
    batch = apply_layer(own.layer, [IMAGES], values)
    assert torch.allclose(batch, IMAGES, atol=1e-5) == known


def test_the_moments_behind_relu_are_those_of_rectified_normal_numbers():
    wiring = Wiring.of(Architecture((3, 8, 8), (CONV, HEAD)))
    bias = torch.tensor([0.0, 1.0, -1.0, 0.5, 3.0, -0.5])
    scale = torch.tensor([1.0, 0.5, -1.0, 2.0, 0.1, 1.5])
    values = {"0.conv.bn.bias": bias, "0.conv.bn.weight": scale}
    mean, variance = expected_moments(wiring, {}, values, "0.conv.act")
    for i in range(6):
        own = scipy.stats.norm(float(bias[i]), abs(float(scale[i])))
        first, second = (
            scipy.integrate.quad(lambda x, p=p, own=own: x**p * own.pdf(x), 0, 20, points=[3.0])[0]
            for p in (1, 2)
        )
        assert float(mean[i]) == pytest.approx(first, abs=1e-5)
        assert float(variance[i]) == pytest.approx(max(second - first**2, 1e-3), abs=1e-5)


def test_moments_go_through_what_only_moves_channels_and_through_identities():
    unit = BlockSpec.of("shuffle_unit", channels=6, kernel=3, stride=1, activation="relu")
    parent = Wiring.of(Architecture((3, 8, 8), (CONV, HEAD)))
    child = Wiring.of(Architecture((3, 8, 8), (CONV, unit, HEAD)))
    found = counterparts(parent, child)
    values = {"0.conv.bn.bias": torch.arange(6.0), "0.conv.bn.weight": torch.full((6,), 1e-4)}
    mean, _ = expected_moments(child, found.roles, values, "1.shuffle")
    assert mean.tolist() == pytest.approx([0, 3, 1, 4, 2, 5], abs=1e-3)
    inner = expected_moments(child, found.roles, values, "1.right.depthwise.conv")
    assert inner[0].tolist() == pytest.approx([3, 4, 5], abs=1e-3)
    assert Role.IDENTITY in found.roles.values()


def test_moments_that_nothing_tells_are_not_made_up():
    spec = BlockSpec.of("bottleneck", channels=6, width=4, stride=1, groups=1, activation="relu")
    wiring = Wiring.of(Architecture((6, 8, 8), (spec, HEAD)))
    shapes = {f"{n.name}.{p}": s for n in wiring.nodes for p, s in n.parameter_shapes.items()}
    values = {name: torch.ones(shape) for name, shape in shapes.items()}
    for tensor in ("image", "0.residual", "0.residual.act", "0.expand.conv"):
        assert expected_moments(wiring, {}, values, tensor) is None
    assert np.allclose(expected_moments(wiring, {}, values, "0.expand.bn")[0], 1)
