import pytest

from hwnas.errors import SpecError
from hwnas.spaces import BlockSpec, expand, space


def unit(channels, stride, incoming):
    spec = BlockSpec.of(
        "shuffle_unit", channels=channels, kernel=3, stride=stride, activation="relu"
    )
    return expand(spec, (incoming, 8, 8))


def test_at_stride_1_half_of_the_channels_pass_as_they_are():
    graph = unit(16, 1, 16)
    assert graph.output_shape == (16, 8, 8)
    # Two pointwise convolutions and a depthwise one on eight channels, each with batch norm.
    assert graph.parameters == 2 * 64 + 9 * 8 + 3 * 16
    concat = next(node for node in graph.nodes if node.name == "concat")
    assert concat.inputs[0] == "left.half"


def test_at_stride_2_both_branches_receive_all_channels():
    graph = unit(16, 2, 6)
    assert graph.output_shape == (16, 4, 4)
    left = 9 * 6 + 6 * 8 + 2 * (6 + 8)
    right = 6 * 8 + 9 * 8 + 8 * 8 + 2 * 24
    assert graph.parameters == left + right


@pytest.mark.parametrize(
    ("channels", "stride", "says"),
    [(15, 2, "channels must be even, received 15"), (24, 1, "received 16 for 24")],
)
def test_units_that_cannot_be_built_are_refused(channels, stride, says):
    with pytest.raises(SpecError, match=says):
        unit(channels, stride, 16)


def test_the_reference_is_shufflenetv2():
    own = space("shufflenet")
    architecture = own.decode(own.references["shufflenetv2-like"])
    # The count of torchvision's shufflenet_v2_x1_0.
    assert architecture.parameters == 2_278_604
    assert architecture.macs == 144_907_992


def test_every_unit_has_its_kernel():
    own = space("shufflenet-32")
    values = {"stage1.depth": 2, "stage1.block2.kernel": 7}
    blocks = own.decode(own.encode(values)).blocks
    assert [dict(spec.arguments)["kernel"] for spec in blocks[1:5]] == [3, 7, 3, 3]
    assert [dict(spec.arguments)["stride"] for spec in blocks[1:5]] == [2, 1, 2, 2]
    # Per stage one to three units with three kernels each; three resolutions and two widths.
    assert own.size == 3 * 2 * (3 + 9 + 27) ** 3
