import numpy as np
import pytest

from hwnas.nets.channel_classes import ChannelClasses, is_depthwise
from hwnas.nets.wiring import IMAGE, Wiring, channels
from hwnas.spaces import Architecture, BlockSpec, space
from hwnas.spaces.layers import Conv2d

HEAD = BlockSpec.of("classifier", classes=2)


def classes(*specs, shape=(4, 8, 8), identities=()):
    return ChannelClasses(Wiring.of(Architecture(shape, specs)), identities)


def test_a_convolution_begins_new_classes_and_what_follows_has_them():
    found = classes(BlockSpec.of("conv", channels=6, kernel=3, stride=1, activation="relu"), HEAD)
    assert found.of(IMAGE).tolist() == [0, 1, 2, 3]
    for name in ("0.conv.conv", "0.conv.bn", "0.conv.act", "1.pool", "1.flatten"):
        assert found.of(name).tolist() == [4, 5, 6, 7, 8, 9]
    assert found.of("1.linear").tolist() == [10, 11] and found.count == 12


def test_both_operands_of_a_sum_have_the_same_classes():
    spec = BlockSpec.of("bottleneck", channels=4, width=2, stride=1, groups=1, activation="relu")
    found = classes(spec)
    assert found.of("0.expand.bn").tolist() == found.of(IMAGE).tolist()
    assert not set(found.of("0.reduce.conv")) & set(found.of("0.spatial.conv"))


def test_depthwise_and_gates_keep_the_classes_of_what_they_read():
    spec = BlockSpec.of(
        "inverted_bottleneck",
        channels=6,
        kernel=3,
        stride=2,
        expansion=2,
        squeeze_excite=True,
        activation="relu",
    )
    found = classes(spec)
    hidden = found.of("0.expand.conv").tolist()
    for name in ("0.depthwise.conv", "0.se.expand", "0.se.scale"):
        assert found.of(name).tolist() == hidden
    assert not set(hidden) & set(found.of("0.se.reduce"))


def test_shuffles_and_parts_take_their_channels_along():
    spec = BlockSpec.of("shuffle_unit", channels=4, kernel=3, stride=1, activation="relu")
    found = classes(spec)
    left, right = found.of("0.left.half").tolist(), found.of("0.right.pointwise.act").tolist()
    assert left == found.of(IMAGE).tolist()[:2]
    assert found.of("0.shuffle").tolist() == [left[0], right[0], left[1], right[1]]


def test_identities_have_the_classes_of_their_input():
    spec = BlockSpec.of("conv", channels=4, kernel=3, stride=1, activation="relu")
    found = classes(spec, identities={"0.conv.conv"})
    assert found.of("0.conv.act").tolist() == found.of(IMAGE).tolist()


def test_heads_match_queries_to_keys_and_pass_values_on():
    own = space("vit-32")
    wiring = Wiring.of(own.decode([0] * own.length))
    found = ChannelClasses(wiring)
    query, key, value, heads = (
        found.of(f"1.attention.{name}").tolist() for name in ("query", "key", "value", "heads")
    )
    assert query == key and value == heads and not set(query) & set(value)


@pytest.mark.parametrize(
    "name",
    ["mobilenet-32", "shufflenet-32", "resnet-32", "efficientnet-32", "convnext-32", "vit-32"],
)
def test_classes_are_numbered_as_they_first_occur_and_once_a_tensor(name):
    own = space(name)
    wiring = Wiring.of(own.decode(own.sample(np.random.default_rng(0), 1)[0]))
    found = ChannelClasses(wiring)
    seen = []
    for tensor in (IMAGE, *(node.name for node in wiring.nodes)):
        numbers = found.of(tensor).tolist()
        assert len(set(numbers)) == len(numbers) == channels(wiring.shape(tensor))
        seen += [number for number in numbers if number not in set(seen)]
    assert seen == list(range(found.count))


def test_depthwise_convolutions_are_told_from_grouped_ones():
    assert is_depthwise(Conv2d(8, 3, groups=8), 8)
    assert not is_depthwise(Conv2d(8, 3, groups=4), 8)
    assert not is_depthwise(Conv2d(8, 3, groups=4), 4)
    assert not is_depthwise(Conv2d(1, 3), 1)
