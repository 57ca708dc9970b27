import numpy as np
import pytest
import torch

from hwnas.nets import Network
from hwnas.nets.channel_maps import ChannelMaps
from hwnas.nets.counterparts import counterparts
from hwnas.nets.wiring import Wiring
from hwnas.spaces import Architecture, BlockSpec, space

HEAD = BlockSpec.of("classifier", classes=2)


def conv(channels):
    return BlockSpec.of("conv", channels=channels, kernel=3, stride=1, activation="relu")


def maps(parent, child, change=None):
    network = Network(parent)
    if change is not None:
        change(network)
    weights = {name.removeprefix("blocks."): v for name, v in network.state_dict().items()}
    old, new = Wiring.of(parent), Wiring.of(child)
    return ChannelMaps(old, new, counterparts(old, new), weights), old, new


def pair(before, after, shape=(3, 8, 8)):
    return maps(Architecture(shape, before), Architecture(shape, after))[0]


def test_channels_are_repeated_in_turn():
    found = pair((conv(3), HEAD), (conv(8), HEAD))
    assert found.between("0.conv.bn", "0.conv.bn").tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert found.between("image", "image").tolist() == [0, 1, 2]
    assert found.between("1.linear", "1.linear").tolist() == [0, 1]


def test_the_channels_that_are_read_most_stay():
    def change(network):
        with torch.no_grad():
            weight = network.get_parameter("blocks.1.linear.weight")
            weight.copy_(torch.tensor([[1.0, -5.0, 0.0, 2.0], [0.0, 0.0, 0.1, -2.0]]))

    before, after = (Architecture((3, 8, 8), (conv(n), HEAD)) for n in (4, 2))
    found, _, _ = maps(before, after, change)
    assert found.between("0.conv.conv", "0.conv.conv").tolist() == [1, 3]


def test_classes_of_another_number_are_new():
    found = pair((conv(4), HEAD), (conv(4), BlockSpec.of("classifier", classes=3)))
    assert found.between("1.linear", "1.linear").tolist() == [0, 1, -1]


def test_channels_stay_in_their_group():
    def block(width):
        return BlockSpec.of(
            "bottleneck", channels=8, width=width, stride=2, groups=2, activation="relu"
        )

    found = pair((conv(8), block(4), HEAD), (conv(8), block(10), HEAD))
    expected = [0, 1, 0, 1, 0, 2, 3, 2, 3, 2]
    assert found.between("1.reduce.act", "1.reduce.act").tolist() == expected
    assert found.between("1.spatial.conv", "1.spatial.conv").tolist() == expected


def test_heads_are_repeated_whole():
    own = space("vit-32")
    before, after = (own.decode(own.encode({"block1.heads": n})) for n in (2, 3))
    found, _, _ = maps(before, after)
    heads = np.arange(48) % 32
    for part in ("query", "key", "value", "heads"):
        name = f"1.attention.{part}"
        assert found.between(name, name).tolist() == heads.tolist()


def test_halves_of_shuffle_units_keep_to_themselves():
    own = space("shufflenet-32")
    before, after = (
        own.decode(own.encode({"width": width, "stage1.depth": 3})) for width in (0.5, 1.0)
    )
    found, old, new = maps(before, after)
    for half in ("2.left.half", "2.right.half", "3.left.half", "3.right.half"):
        assert set(found.between(half, half)) == set(range(old.shape(half)[0]))
        assert new.shape(half)[0] == 2 * old.shape(half)[0]


@pytest.mark.parametrize("name", ["mobilenet-32", "resnet-32", "shufflenet-32", "nasbench201"])
def test_an_architecture_is_mapped_to_itself(name):
    own = space(name)
    architecture = own.decode(own.sample(np.random.default_rng(1), 1)[0])
    found, wiring, _ = maps(architecture, architecture)
    for node in wiring.nodes:
        channels = len(found.parent.of(node.name))
        assert found.between(node.name, node.name).tolist() == list(range(channels))
        assert found.sound(node.name, node.name)


def test_a_guess_takes_leading_channels_where_tensors_have_none_in_common():
    found = pair((conv(4), conv(6), HEAD), (conv(4), HEAD))
    # The child's classifier reads the first convolution, the parent's the second.
    assert (found.between("0.conv.act", "1.conv.conv") == -1).all()
    assert found.guess("0.conv.act", "1.conv.conv").tolist() == [0, 1, 2, 3]
    assert found.guess("0.conv.act", "0.conv.act").tolist() == [0, 1, 2, 3]
