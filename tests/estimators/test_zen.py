import math

import numpy as np
import pytest
import torch

from hwnas.errors import SpecError
from hwnas.estimators import Budget
from hwnas.estimators.zen import PlainPass, ZenScore, gaussian_network, zen
from hwnas.nets import Network
from hwnas.spaces import BLOCKS, space
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.blocks import BlockSpec
from hwnas.spaces.graph import INPUT
from hwnas.spaces.layers import BatchNorm, Conv2d, Pool2d


def test_zen_by_hand(tiny, first_block):
    generator = torch.Generator().manual_seed(5)
    expected = []
    for _ in range(3):
        conv = next(gaussian_network(tiny.architecture, generator).parameters())
        conv = conv.detach().double().numpy()[:, :, 0, 0]
        first, second = (
            torch.randn(7, 3, 4, 4, generator=generator).double().numpy() for _ in range(2)
        )
        distance = np.abs(first_block(first, conv) - first_block(first + 0.01 * second, conv))
        spread = np.einsum("oc,nchw->nohw", conv, first).var((0, 2, 3)).mean() ** 0.5
        expected.append(np.log(distance.sum((1, 2, 3)).mean()) + np.log(spread))
    found = zen(tiny, seed=5, batch_size=7, repeats=3)
    # Differences of a hundredth in single precision.
    assert found == pytest.approx(np.mean(expected), abs=1e-4)


def test_weights_are_gaussian_and_the_rest_is_not():
    own = space("efficientnet-32:classes=2")
    architecture = own.decode([0] * own.length)
    found = gaussian_network(architecture, torch.Generator().manual_seed(0)).state_dict()
    norms = {name: value for name, value in found.items() if ".bn." in name}
    biases = [value for name, value in found.items() if name.endswith("bias")]
    drawn = [v for n, v in found.items() if n.endswith("weight") and n not in norms]
    assert not any(bool(value.any()) for value in biases)
    assert all(bool((v == 1).all()) for n, v in norms.items() if n.endswith("weight"))
    together = torch.cat([value.flatten() for value in drawn])
    # Standard errors of the mean and the deviation; six of them err once in 1e9.
    error = 6 / math.sqrt(len(together))
    assert abs(together.mean()) < error and abs(together.std() - 1) < error


def test_the_weights_of_the_network_do_not_count(tiny):
    expected = zen(tiny, batch_size=4, repeats=1)
    assert zen(Network(tiny.architecture, seed=9), batch_size=4, repeats=1) == expected
    assert zen(tiny, batch_size=4, repeats=1, seed=1) != expected


def passed(monkeypatch, with_link, without):
    """What two blocks give with the same weights, the first without its links, as arrays."""
    found = []
    for kind, build in (("zen_link", with_link), ("zen_plain", without)):
        name = f"{kind}_{with_link.__name__}"
        monkeypatch.setitem(BLOCKS, name, build)
        network = Network(Architecture((4, 6, 6), (BlockSpec.of(name),)))
        images = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(0))
        plain = PlainPass()
        found.append((network.interpret(images, plain).detach().numpy(), plain.scale))
    return found


def two_convolutions(b):
    return b.conv_bn("second", b.conv_bn("first", INPUT, 4, 3, activation="relu"), 4, 3)


def test_shortcuts_are_left_out(monkeypatch):
    def shortcut(b):
        b.residual("residual", INPUT, two_convolutions(b))

    def shortcut_behind(b):
        b.residual("residual", two_convolutions(b), INPUT)

    def shortcut_with_pool(b):
        tensor = two_convolutions(b)
        b.residual("residual", b.add("pool", Pool2d("average", 3, 1), INPUT), tensor)

    for build in (shortcut, shortcut_behind, shortcut_with_pool):
        (linked, scale), (plain, expected) = passed(monkeypatch, build, two_convolutions)
        assert np.array_equal(linked, plain) and scale == expected


def test_branches_with_weights_stay(monkeypatch):
    def projection(b):
        tensor = two_convolutions(b)
        b.residual("residual", b.conv_bn("shortcut", INPUT, 4, 1), tensor)

    (linked, scale), (plain, fewer) = passed(monkeypatch, projection, two_convolutions)
    assert not np.allclose(linked, plain) and scale != fewer


def test_links_without_any_weights_on_either_way_stay(monkeypatch):
    def pools(b):
        tensor = b.add("conv", Conv2d(4, 3), INPUT)
        b.residual("sum", tensor, b.add("pool", Pool2d("average", 3, 1), tensor))

    def conv(b):
        b.add("conv", Conv2d(4, 3), INPUT)

    (both, _), (one, _) = passed(monkeypatch, pools, conv)
    assert not np.allclose(both, one)


def test_layer_norm_counts_as_batch_norm_does():
    own = space("vit-32:classes=2,image_size=16")
    architecture = own.decode([0] * own.length)
    norms = sum(
        isinstance(node.layer, BatchNorm) or "norm" in node.name
        for item in architecture.placed
        for node in item.graph.nodes
    )
    plain = PlainPass()
    network = gaussian_network(architecture, torch.Generator().manual_seed(0))
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    network.interpret(images, plain)
    with torch.no_grad():
        network.get_parameter("blocks.0.patches.weight").mul_(math.e)
        network.get_parameter("blocks.0.class_token.weight").mul_(math.e)
        network.get_parameter("blocks.0.positions.weight").mul_(math.e)
    larger = PlainPass()
    network.interpret(images, larger)
    # Only the first of the norms receives what is larger; it hands on the same as before.
    assert norms == 5
    assert larger.scale == pytest.approx(plain.scale + 1, abs=1e-4)
    # What the class token is taken from: 17 or 5 tokens with the features of the network.
    assert larger.features.shape[0] == 2 and larger.features.ndim == 3


def test_provenance_and_draws(tiny):
    own = ZenScore(seed=2, batch_size=3, repeats=2)
    found = own.estimate(tiny.architecture, Budget())
    assert found.value == zen(tiny, seed=2, batch_size=3, repeats=2)
    assert found.provenance == {"estimator": "zen", "seed": 2, "images": 3, "repeats": 2}
    for wrong in ({"repeats": 0}, {"batch_size": 0}):
        with pytest.raises(SpecError, match="at least 1"):
            zen(tiny, **wrong)
