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


def test_depth_and_kernels_are_elastic():
    own = space("efficientnet-32")
    values = {"stage3.depth": 3, "stage3.block2.kernel": 3}
    blocks = [dict(spec.arguments) for spec in own.decode(own.encode(values)).blocks[3:6]]
    assert [spec["kernel"] for spec in blocks] == [5, 3, 5]
    assert [spec["stride"] for spec in blocks] == [2, 1, 1]
    assert own.size == 3 * 2 * 2 * (2 + 4) * (2 + 4 + 8) * (2 + 4)
