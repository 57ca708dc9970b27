import pytest

from hwnas.nets.counterparts import counterparts
from hwnas.nets.roles import Role
from hwnas.nets.wiring import IMAGE, Wiring
from hwnas.spaces import Architecture, BlockSpec, space
from hwnas.spaces.cell import EDGES, OPERATIONS

HEAD = BlockSpec.of("classifier", classes=2)


def conv(channels=8, activation="relu", kernel=3):
    return BlockSpec.of("conv", channels=channels, kernel=kernel, stride=1, activation=activation)


def matched(parent, child, shape=(3, 8, 8)):
    parent, child = (Wiring.of(Architecture(shape, blocks)) for blocks in (parent, child))
    return counterparts(parent, child)


def roles(found):
    return {name: role for name, role in found.roles.items()}


def test_equal_networks_are_matched_layer_by_layer():
    found = matched((conv(), HEAD), (conv(16, kernel=5), HEAD))
    assert {name: node.name for name, node in found.nodes.items()} == {
        name: name
        for name in ("0.conv.conv", "0.conv.bn", "0.conv.act", "1.pool", "1.flatten", "1.linear")
    }
    assert found.tensors[IMAGE] == IMAGE and not found.roles and not found.loose


def test_a_plain_layer_is_inserted_as_the_identity_behind_relu():
    found = matched((conv(), HEAD), (conv(), conv(), HEAD))
    assert roles(found) == dict.fromkeys(("1.conv.conv", "1.conv.bn", "1.conv.act"), Role.IDENTITY)
    assert found.tensors["1.conv.act"] == "0.conv.act"
    assert found.nodes["2.linear"].name == "1.linear"


@pytest.mark.parametrize("activation", ["hardswish", "silu", "gelu", "relu6"])
def test_other_activations_cannot_be_the_identity(activation):
    found = matched((conv(), HEAD), (conv(), conv(activation=activation), HEAD))
    assert not found.roles and found.loose == {"1.conv.act"}
    assert found.tensors["1.conv.act"] == "0.conv.act"


def test_relu_is_no_identity_where_values_may_be_negative():
    found = matched((conv(activation="none"), HEAD), (conv(activation="none"), conv(), HEAD))
    assert not found.roles and found.loose == {"1.conv.act"}


def test_a_residual_block_is_inserted_with_a_branch_of_zero():
    block = BlockSpec.of("bottleneck", channels=8, width=4, stride=1, groups=1, activation="relu")
    found = matched((conv(), HEAD), (conv(), block, HEAD))
    assert roles(found) == {
        "1.expand.bn": Role.ZERO,
        "1.residual": Role.IDENTITY,
        "1.residual.act": Role.IDENTITY,
    }


def test_a_transformer_block_is_inserted_with_both_branches_zero():
    own = space("vit-32")
    parent, child = (Wiring.of(own.decode(own.encode({"depth": n}))) for n in (2, 3))
    found = counterparts(parent, child)
    zeros = {name.partition(".")[2] for name, role in found.roles.items() if role is Role.ZERO}
    assert zeros == {"attention.project", "mlp.project"}


def test_a_shuffle_unit_is_inserted_half_by_half():
    unit = BlockSpec.of("shuffle_unit", channels=8, kernel=3, stride=1, activation="relu")
    found = matched((conv(), HEAD), (conv(), unit, HEAD))
    assert set(found.roles.values()) == {Role.IDENTITY}
    assert {"1.left.half", "1.right.reduce.conv", "1.shuffle"} <= found.roles.keys()
    assert found.tensors["1.shuffle"] == "0.conv.act"


def test_a_gate_is_added_at_its_middle():
    def block(squeeze):
        return BlockSpec.of(
            "inverted_bottleneck",
            channels=8,
            kernel=3,
            stride=2,
            expansion=4,
            squeeze_excite=squeeze,
            activation="relu",
        )

    found = matched((conv(), block(False), HEAD), (conv(), block(True), HEAD))
    assert roles(found) == {"1.se.expand": Role.ZERO, "1.se.scale": Role.HALF}
    assert found.tensors["1.se.scale"] == "1.depthwise.act"
    assert found.nodes["1.project.conv"].name == "1.project.conv"


def cell(**edges):
    operations = [edges.get(f"e{source}{target}", "none") for source, target in EDGES]
    own = space("nasbench201:image_size=8,classes=2")
    return Wiring.of(own.decode([OPERATIONS.index(operation) for operation in operations]))


def test_a_new_edge_of_a_cell_is_a_branch_of_zero():
    parent = cell(e03="nor_conv_3x3")
    child = cell(e03="nor_conv_3x3", e01="nor_conv_1x1", e13="nor_conv_3x3")
    found = counterparts(parent, child)
    zeros = {name for name, role in found.roles.items() if role is Role.ZERO}
    assert "1.edge13.nor_conv_3x3.bn" in zeros
    assert found.tensors["1.node3.add1"] == "1.edge03.nor_conv_3x3.bn"


def test_an_edge_keeps_its_weights_when_its_kernel_grows():
    found = counterparts(cell(e03="nor_conv_1x1"), cell(e03="nor_conv_3x3"))
    assert found.nodes["1.edge03.nor_conv_3x3.conv"].local == "edge03.nor_conv_1x1.conv"
    assert not found.roles and not found.loose


def test_layers_without_weights_are_known_by_what_they_read():
    """The ReLU of a cell stands in the block before where only convolutions read the cell."""
    edges = {"e01": "nor_conv_3x3", "e13": "nor_conv_3x3"}
    found = counterparts(cell(**edges), cell(**edges, e03="skip_connect"))
    assert found.tensors["1.node0.act"] == "0.conv.act"
    assert found.nodes["1.edge01.nor_conv_3x3.conv"].name == "1.edge01.nor_conv_3x3.conv"
