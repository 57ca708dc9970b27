import pytest
from onnx import helper

from hwnas.errors import ShapeError
from hwnas.kernels import with_static_shapes
from hwnas.kernels.input_shapes import input_shapes


def two_inputs(size="N"):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        "g",
        [value("a", 1, [size, 3]), value("b", 1, [size, 3])],
        [value("y", 1, [size, 3])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def test_a_named_size_has_one_value():
    model = two_inputs()
    assert input_shapes(model, "m", {"a": (2, 3), "b": (2, 3)}) == {"a": (2, 3), "b": (2, 3)}
    with pytest.raises(ShapeError, match="the size 'N' is 1 in input 'a' and 7 in input 'b'"):
        input_shapes(model, "m", {"a": (1, 3), "b": (7, 3)})


@pytest.mark.parametrize("unknown", ["?", "None", "-1"])
def test_a_size_that_the_exporter_did_not_know_is_not_named(unknown):
    given = {"a": (1, 3), "b": (7, 3)}
    assert input_shapes(two_inputs(unknown), "m", given) == given


def test_an_input_without_a_rank_takes_what_is_given():
    model = two_inputs()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ShapeError, match="input 'a' has no shape; give it"):
        input_shapes(model, "m", {"b": (2, 3)})
    fixed = with_static_shapes(model, "m", {"a": (2, 1), "b": (2, 3)})
    assert input_shapes(fixed, "m") == {"a": (2, 1), "b": (2, 3)}
