from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hwnas.errors import ShapeError
from hwnas.kernels import FUSION, lower

RULES = FUSION["onnxruntime"]


def test_the_onnx_wheels_networks_lower():
    folder = onnx.__path__[0] + "/backend/test/data/light/"
    for name in ("light_resnet50.onnx", "light_shufflenet.onnx", "light_squeezenet.onnx"):
        lowered = lower(onnx.load(folder + name), RULES, name=name)
        assert not lowered.not_covered
        assert sum(kernel.macs * count for kernel, count in lowered.kernels.items()) > 5e7


def graph(nodes, inputs, outputs):
    value = helper.make_tensor_value_info
    return helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [value(n, TensorProto.FLOAT, s) for n, s in inputs],
            [value(n, TensorProto.FLOAT, s) for n, s in outputs],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
    )


def test_dynamic_shapes_must_be_given_and_fit():
    model = graph([helper.make_node("Relu", ["x"], ["y"])], [("x", ["N", 3])], [("y", ["N", 3])])
    with pytest.raises(ShapeError, match="--input-shape x:N,3"):
        lower(model, RULES)
    with pytest.raises(ShapeError, match="does not fit"):
        lower(model, RULES, shapes={"x": (2, 4)})
    with pytest.raises(ShapeError, match="no input 'z'"):
        lower(model, RULES, shapes={"z": (2, 3)})
    (kernel,) = lower(model, RULES, shapes={"x": (2, 3)}).kernels
    assert kernel.outputs == ((2, 3),)


def test_an_input_without_elements_is_named_as_such():
    model = graph([helper.make_node("Relu", ["x"], ["y"])], [("x", [0, 30])], [("y", [0, 30])])
    with pytest.raises(ShapeError, match=r"no elements, shape \(0,30\).*--input-shape x:N,30"):
        lower(model, RULES)
    (kernel,) = lower(model, RULES, shapes={"x": (2, 30)}).kernels
    assert kernel.outputs == ((2, 30),)


def test_custom_domains_are_not_covered():
    node = helper.make_node("Magic", ["x"], ["y"], domain="my.ops")
    model = graph([node], [("x", [1, 3])], [("y", [1, 3])])
    model.opset_import.append(helper.make_opsetid("my.ops", 1))
    assert lower(model, RULES).not_covered == Counter({"my.ops.Magic": 1})


def test_an_activation_that_something_else_reads_is_not_fused():
    weight = helper.make_node(
        "Constant",
        [],
        ["w"],
        value=onnx.numpy_helper.from_array(np.ones((16, 16, 1, 1), np.float32)),
    )
    model = graph(
        [
            weight,
            helper.make_node("Conv", ["x", "w"], ["c"]),
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("Mul", ["c", "r"], ["y"]),
        ],
        [("x", [1, 16, 4, 4])],
        [("y", [1, 16, 4, 4])],
    )
    assert {kernel.op for kernel in lower(model, RULES).kernels} == {"Conv", "Relu", "Mul"}
    assert all(not kernel.fused for kernel in lower(model, RULES).kernels)
