import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from hwnas.runtimes import runtime
from hwnas.runtimes.torch_engine import OPERATORS, Session, graph


def model(nodes, shape=(1, 4, 6, 6), constants=None, outputs=("y",), opset=20):
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, shape)],
        [value(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(made, ir_version=9, opset_imports=[helper.make_opsetid("", opset)])


def normalised(uses=1):
    """A convolution, a normalisation, and whoever else uses the convolution."""
    rng = np.random.default_rng(0)
    constants = {"w": rng.standard_normal((4, 4, 3, 3), np.float32)}
    for name in ("scale", "shift", "mean", "variance"):
        constants[name] = rng.random(4, np.float32) + 0.5
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node(
            "BatchNormalization", ["c", "scale", "shift", "mean", "variance"], ["n"], epsilon=1e-3
        ),
        helper.make_node("Add", ["n", "c"], ["y"])
        if uses > 1
        else helper.make_node("Relu", ["n"], ["y"]),
    ]
    return model(nodes, constants=constants).SerializeToString()


@pytest.mark.parametrize("uses", [1, 2])
def test_a_normalisation_folds_where_nobody_else_uses_the_convolution(uses):
    data = normalised(uses)
    session = Session(data)
    assert ("batch_norm" in session.calls()) == (uses > 1)
    feeds = {"x": np.random.default_rng(1).standard_normal((1, 4, 6, 6), np.float32)}
    expected = runtime("onnxruntime").run(data, feeds)["y"]
    np.testing.assert_allclose(session.run(feeds)["y"], expected, rtol=1e-4, atol=1e-5)


def test_what_is_constant_is_computed_once_and_what_nobody_needs_is_left_out():
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Concat", ["n", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["x", "to"], ["y"]),
        helper.make_node("Exp", ["x"], ["unused"]),
    ]
    constants = {"zero": np.zeros(1, np.int64), "rest": np.array([-1], np.int64)}
    session = Session(model(nodes, constants=constants).SerializeToString())
    assert session.calls() == ["reshape"]
    assert not list(session._module.buffers())


def test_a_constant_can_be_an_output_and_an_output_can_be_used_twice():
    nodes = [
        helper.make_node("Neg", ["x"], ["y"]),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("Identity", ["k"], ["c"]),
    ]
    data = model(nodes, (2,), {"k": np.ones(3, np.float32)}, ("y", "z", "c")).SerializeToString()
    found = Session(data).run({"x": np.array([1, -2], np.float32)})
    assert {name: value.tolist() for name, value in found.items()} == {
        "y": [-1, 2],
        "z": [0, 2],
        "c": [1, 1, 1],
    }


def test_operators_that_are_lacking_are_all_named_at_once():
    nodes = [
        helper.make_node("NonZero", ["x"], ["a"]),
        helper.make_node("Relu", ["x"], ["b"], domain="own"),
        helper.make_node("Det", ["x"], ["y"]),
    ]
    with pytest.raises(ValueError, match="has no operator Det, NonZero, Relu; .*onnxruntime"):
        graph.Builder(model(nodes), OPERATORS)


def test_other_opsets_are_refused():
    with pytest.raises(ValueError, match="has opset 9; allowed: 13 to 23"):
        graph.Builder(model([helper.make_node("Relu", ["x"], ["y"])], opset=9), OPERATORS)


def test_what_must_be_constant_and_is_not_names_the_node():
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["x", "i"], ["y"], name="here"),
    ]
    with pytest.raises(ValueError, match=r"Reshape of node 'here': input 1 \('i'\) is not const"):
        graph.Builder(model(nodes, (1,)), OPERATORS)


def test_shapes_that_do_not_fit_name_the_node():
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")]
    made = model(nodes, (2, 3), {"w": np.ones((4, 5), np.float32)})
    with pytest.raises(ValueError, match="MatMul of node 'product'"):
        graph.Builder(made, OPERATORS)


def test_half_precision_reaches_constants_inputs_and_casts():
    nodes = [
        helper.make_node("Cast", ["x"], ["d"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["d", "k"], ["y"]),
    ]
    built = graph.Builder(model(nodes, (2,), {"k": np.ones(2, np.float32)}), OPERATORS, half=True)
    ((name, kind, meta),) = built.inputs
    assert (name, kind, meta.dtype) == ("x", torch.float32, torch.float16)
    (out,) = built.module()(torch.ones(2, dtype=torch.float16))
    assert out.dtype == torch.float16 and out.tolist() == [2, 2]


def test_every_type_of_onnx_that_is_known_is_the_torch_type_of_its_name():
    for number, kind in graph.TYPES.items():
        name = onnx.TensorProto.DataType.Name(number).lower()
        assert {"float": "float32", "double": "float64"}.get(name, name) == str(kind)[6:]
