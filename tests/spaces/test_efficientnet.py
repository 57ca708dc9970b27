import pytest

from hwnas.errors import SpecError
from hwnas.spaces import BlockSpec, expand, space
from hwnas.spaces.layers import Activation


def mbconv(**changes):
    arguments = {
        "channels": 16,
        "kernel": 3,
        "stride": 1,
        "expansion": 6,
        "squeeze": 4,
        "squeeze_from": "input",
        "activation": "silu",
    }
    return expand(BlockSpec.of("mbconv", **arguments | changes), (16, 8, 8))


@pytest.mark.parametrize(("source", "channels"), [("input", 4), ("hidden", 24)])
def test_squeeze_excite_has_a_share_of_the_channels(source, channels):
    graph = mbconv(squeeze_from=source)
    assert graph.parameter_shapes["se.reduce.weight"] == (channels, 96, 1, 1)
    kinds = [node.layer.kind for node in graph.nodes if isinstance(node.layer, Activation)]
    # Expand, depthwise, squeeze; the gate.
    assert kinds == ["silu", "silu", "silu", "sigmoid"]


def test_there_is_no_squeeze_excite_where_its_share_is_0():
    assert not any(node.name.startswith("se.") for node in mbconv(squeeze=0).nodes)
    assert mbconv(squeeze=99).parameter_shapes["se.reduce.bias"] == (1,)


@pytest.mark.parametrize(("changes", "there"), [({}, True), ({"stride": 2}, False)])
def test_the_shortcut_is_there_where_shapes_agree(changes, there):
    assert ("residual" in {node.name for node in mbconv(**changes).nodes}) is there


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"squeeze_from": "output"}, "one of input, hidden, received 'output'"),
        ({"squeeze": -1}, "squeeze must be 0 or more"),
    ],
)
def test_settings_that_cannot_be_built_are_refused(changes, says):
    with pytest.raises(SpecError, match=says):
        mbconv(**changes)


def test_the_reference_is_efficientnet_b0():
    own = space("efficientnet")
    architecture = own.decode(own.references["efficientnet-b0-like"])
    # The count of torchvision's efficientnet_b0.
    assert architecture.parameters == 5_288_548


def fused(**changes):
    arguments = {"channels": 16, "kernel": 3, "stride": 1, "expansion": 4, "squeeze": 0}
    arguments |= {"squeeze_from": "input", "activation": "silu"}
    return expand(BlockSpec.of("fused_inverted_bottleneck", **arguments | changes), (16, 8, 8))


def test_a_fused_block_expands_by_its_convolution():
    assert {name: shape for name, shape in fused().parameter_shapes.items() if "conv" in name} == {
        "expand.conv.weight": (64, 16, 3, 3),
        "project.conv.weight": (16, 64, 1, 1),
    }
    assert fused().macs == (64 * 16 * 9 + 16 * 64) * 64
    # The whole shrinks the image by its first convolution.
    assert fused(stride=2).macs == fused().macs / 4


def test_a_fused_block_that_does_not_expand_is_one_convolution():
    names = [node.name for node in fused(expansion=1).nodes]
    assert names == ["conv.conv", "conv.bn", "conv.act", "residual"]


@pytest.mark.parametrize(("source", "channels"), [("input", 4), ("hidden", 16)])
def test_a_fused_block_has_squeeze_excite_where_wanted(source, channels):
    graph = fused(squeeze=4, squeeze_from=source)
    assert graph.parameter_shapes["se.reduce.weight"] == (channels, 64, 1, 1)


def test_stages_offer_fused_blocks():
    own = space("efficientnetv2-32")
    values = {"stage2.fused": False, "stage4.fused": True, "stage4.depth": 2}
    kinds = [spec.kind for spec in own.decode(own.encode(values)).blocks]
    assert kinds[1:-2] == [
        "fused_inverted_bottleneck",
        "mbconv",
        "fused_inverted_bottleneck",
        "fused_inverted_bottleneck",
        "fused_inverted_bottleneck",
    ]
    assert own.size == 3 * 2 * 2**4 * 2 * (2 + 4) * (2 + 4 + 8) * (2 + 4)


def test_depth_and_kernels_are_elastic():
    own = space("efficientnet-32")
    values = {"stage3.depth": 3, "stage3.block2.kernel": 3}
    blocks = [dict(spec.arguments) for spec in own.decode(own.encode(values)).blocks[3:6]]
    assert [spec["kernel"] for spec in blocks] == [5, 3, 5]
    assert [spec["stride"] for spec in blocks] == [2, 1, 1]
    assert own.size == 3 * 2 * 2 * (2 + 4) * (2 + 4 + 8) * (2 + 4)
