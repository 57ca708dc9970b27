from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from small_models import SMALL_MODELS

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
    with pytest.raises(ShapeError, match=r"states its shape as \(0,30\).*--input-shape x:N,30"):
        lower(model, RULES)
    (kernel,) = lower(model, RULES, shapes={"x": (2, 30)}).kernels
    assert kernel.outputs == ((2, 30),)


def test_custom_domains_are_not_covered():
    node = helper.make_node("Magic", ["x"], ["y"], domain="my.ops")
    model = graph([node], [("x", [1, 3])], [("y", [1, 3])])
    model.opset_import.append(helper.make_opsetid("my.ops", 1))
    assert lower(model, RULES).not_covered == Counter({"my.ops.Magic": 1})


def test_an_input_without_a_shape_and_one_that_no_memory_holds_are_refused():
    model = graph([helper.make_node("Relu", ["x"], ["y"])], [("x", [1, 3])], [("y", [1, 3])])
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ShapeError, match="has no shape"):
        lower(model, RULES)
    model = graph([helper.make_node("Relu", ["x"], ["y"])], [("x", [2**50])], [("y", [2**50])])
    with pytest.raises(ShapeError, match="cannot have the shape"):
        lower(model, RULES)


def test_shapes_that_do_not_fit_or_are_stated_wrong_are_refused():
    nodes = [helper.make_node("MatMul", ["x", "z"], ["y"])]
    with pytest.raises(ShapeError, match="MatMul 'y' do not fit"):
        lower(graph(nodes, [("x", [2, 3]), ("z", [4, 5])], [("y", [2, 5])]), RULES)
    with pytest.raises(ShapeError, match="'y' is stated as"):
        lower(graph(nodes, [("x", [2, 3]), ("z", [3, 5])], [("y", [2, 6])]), RULES)


def test_sub_graphs_and_shapes_that_depend_on_values_are_listed():
    branch = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["r"])],
        "then",
        [],
        [helper.make_tensor_value_info("r", TensorProto.FLOAT, [4])],
    )
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["c"], to=TensorProto.BOOL),
        helper.make_node("If", ["c"], ["i"], then_branch=branch, else_branch=branch),
        helper.make_node("NonZero", ["x"], ["n"]),
        helper.make_node("Cast", ["n"], ["y"], to=TensorProto.FLOAT),
    ]
    found = lower(graph(nodes, [("x", [4])], [("i", [4]), ("y", [1, "N"])]), RULES)
    assert found.not_covered == Counter({"If": 1, "NonZero": 1, "Cast": 1})
    assert sorted(kernel.op for kernel in found.kernels) == ["Cast", "ReduceMax"]


def test_what_the_model_states_is_believed_behind_a_custom_operator():
    nodes = [
        helper.make_node("Magic", ["x"], ["m"], domain="my.ops"),
        helper.make_node("Relu", ["m"], ["y"]),
    ]
    model = graph(nodes, [("x", [1, 3])], [("y", [1, 3])])
    model.opset_import.append(helper.make_opsetid("my.ops", 1))
    assert lower(model, RULES).not_covered == Counter({"my.ops.Magic": 1, "Relu": 1})
    model.graph.value_info.append(helper.make_tensor_value_info("m", TensorProto.FLOAT, [1, 3]))
    found = lower(model, RULES)
    assert found.not_covered == Counter({"my.ops.Magic": 1})
    assert [kernel.op for kernel in found.kernels] == ["Relu"]


def test_sizes_that_are_computed_in_the_graph_are_folded():
    found = lower(SMALL_MODELS["torch-shapes"](), RULES)
    assert not found.not_covered
    assert {k.op for k in found.kernels} == {"Reshape", "Transpose", "Conv", "Add"}
    assert (2, 2, 4, 6, 6) in {k.outputs[0] for k in found.kernels}


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


def test_what_computes_nothing_has_no_kernels_and_nothing_uncovered():
    found = lower(
        graph([helper.make_node("Identity", ["x"], ["y"])], [("x", [1, 3])], [("y", [1, 3])]),
        RULES,
    )
    assert not found.kernels and not found.not_covered


def test_what_gives_no_element_is_no_kernel():
    sizes = [helper.make_tensor(name, 7, [1], [5]) for name in ("begin", "end")]
    model = graph(
        [
            helper.make_node("Slice", ["x", "begin", "end"], ["none"]),
            helper.make_node("Relu", ["none"], ["still"]),
            helper.make_node("Concat", ["still", "x"], ["y"], axis=0),
        ],
        [("x", [2, 3])],
        [("y", [2, 3])],
    )
    model.graph.initializer.extend(sizes)
    assert [kernel.op for kernel in lower(model, RULES).kernels] == ["Concat"]
