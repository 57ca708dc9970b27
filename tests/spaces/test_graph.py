import pytest

from hwnas.errors import ShapeError, SpecError
from hwnas.spaces import GraphBuilder, LayerGraph
from hwnas.spaces.graph import INPUT
from hwnas.spaces.layers import Activation, Add, BatchNorm, Conv2d


def test_layers_are_written_in_order_with_their_shapes():
    builder = GraphBuilder((3, 8, 8))
    last = builder.conv_bn("stem", INPUT, 4, 3, stride=2, activation="relu")
    graph = builder.build()
    assert last == graph.output == "stem.act"
    assert [(node.name, node.inputs) for node in graph.nodes] == [
        ("stem.conv", (INPUT,)),
        ("stem.bn", ("stem.conv",)),
        ("stem.act", ("stem.bn",)),
    ]
    assert [type(node.layer) for node in graph.nodes] == [Conv2d, BatchNorm, Activation]
    assert graph.shapes == {INPUT: (3, 8, 8)} | {node.name: (4, 4, 4) for node in graph.nodes}
    assert builder.shape("stem.conv") == graph.output_shape == (4, 4, 4)
    assert graph.node_input_shapes(graph.nodes[0]) == ((3, 8, 8),)


def test_an_activation_is_written_only_where_one_is_named():
    builder = GraphBuilder((3, 8, 8))
    assert builder.conv_bn("own", INPUT, 4, 1) == "own.bn"


def test_squeeze_excite_keeps_the_shape_and_has_two_convolutions():
    builder = GraphBuilder((16, 8, 8))
    builder.squeeze_excite("se", INPUT, 4)
    graph = builder.build()
    assert graph.output_shape == (16, 8, 8)
    assert graph.parameter_shapes == {
        "se.reduce.weight": (4, 16, 1, 1),
        "se.reduce.bias": (4,),
        "se.expand.weight": (16, 4, 1, 1),
        "se.expand.bias": (16,),
    }
    assert graph.parameters == 2 * 64 + 20
    assert graph.macs == 2 * 64
    assert graph.nodes[-1].inputs == (INPUT, "se.expand.act")


def test_squeeze_excite_takes_other_activations():
    builder = GraphBuilder((16, 8, 8))
    builder.squeeze_excite("se", INPUT, 4, "silu", "sigmoid")
    kinds = [node.layer.kind for node in builder.build().nodes if node.name.endswith("act")]
    assert kinds == ["silu", "sigmoid"]


def test_a_graph_without_layers_gives_its_input():
    graph = LayerGraph((3, 8, 8), ())
    assert graph.output == INPUT and graph.output_shape == (3, 8, 8)
    assert graph.macs == graph.parameters == 0


@pytest.mark.parametrize(
    ("layer", "inputs", "error", "says"),
    [
        (Conv2d(4, 3), ("none",), ShapeError, "'own' reads none, which is not written yet"),
        (Add(), (INPUT,), SpecError, "'own' takes 2 inputs, received 1"),
        (Add(), (INPUT, "first"), ShapeError, "two equal shapes"),
    ],
)
def test_layers_that_cannot_be_written_are_refused(layer, inputs, error, says):
    builder = GraphBuilder((3, 8, 8))
    builder.add("first", Conv2d(4, 3), INPUT)
    with pytest.raises(error, match=says):
        builder.add("own", layer, *inputs)
    # What was refused is not in the graph.
    assert [node.name for node in builder.build().nodes] == ["first"]


@pytest.mark.parametrize("name", [INPUT, "first"])
def test_a_name_is_given_once(name):
    builder = GraphBuilder((3, 8, 8))
    builder.add("first", Conv2d(3, 3), INPUT)
    with pytest.raises(SpecError, match=f"'{name}' is in the block already"):
        builder.add(name, Conv2d(3, 3), INPUT)
