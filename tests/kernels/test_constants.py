import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from hwnas.kernels.constants import LIMIT, evaluated, small_value

VECTOR, MATRIX = np.array([2, -3, 4], np.int64), np.arange(6, dtype=np.int64).reshape(2, 3)


def reference(op, inputs, attributes):
    names = [f"x{i}" for i in range(len(inputs))]
    kinds = [helper.np_dtype_to_tensor_dtype(value.dtype) for value in inputs]
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], **attributes)],
        "g",
        [helper.make_tensor_value_info(n, k, None) for n, k in zip(names, kinds, strict=True)],
        [helper.make_empty_tensor_value_info("y")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return ReferenceEvaluator(model).run(None, dict(zip(names, inputs, strict=True)))[0]


@pytest.mark.parametrize(
    ("op", "inputs", "attributes"),
    [
        ("Add", [VECTOR, MATRIX], {}),
        ("Div", [np.array([7, -7, 8]), np.array([2, 2, -3])], {}),
        ("Mul", [VECTOR, np.array(3)], {}),
        ("Gather", [VECTOR, np.array([2, 0])], {"axis": 0}),
        ("Gather", [VECTOR, np.array(1)], {"axis": 0}),
        ("Concat", [VECTOR, VECTOR], {"axis": 0}),
        ("Unsqueeze", [VECTOR, np.array([0, 2])], {}),
        ("Squeeze", [VECTOR.reshape(1, 3, 1), np.array([0])], {}),
        ("Slice", [VECTOR, np.array([1]), np.array([2**62]), np.array([0])], {}),
        (
            "Slice",
            [VECTOR, np.array([-1]), np.array([-(2**62)]), np.array([0]), np.array([-1])],
            {},
        ),
        ("Reshape", [MATRIX, np.array([0, -1])], {}),
        ("Range", [np.array(1), np.array(9), np.array(3)], {}),
        ("Cast", [VECTOR], {"to": TensorProto.FLOAT}),
        ("Where", [VECTOR > 0, VECTOR, np.array(1)], {}),
        ("Equal", [VECTOR, np.array([2, 3, 4])], {}),
        ("Expand", [VECTOR, np.array([2, 3])], {}),
        ("Transpose", [MATRIX], {"perm": [1, 0]}),
        ("ReduceProd", [VECTOR, np.array([0])], {"keepdims": 0}),
        ("Min", [VECTOR, np.array(1)], {}),
    ],
)
def test_values_are_those_of_onnxs_reference(op, inputs, attributes):
    found, wanted = evaluated(op, inputs, attributes), reference(op, inputs, attributes)
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == wanted.dtype


@pytest.mark.parametrize(
    ("op", "inputs", "attributes"),
    [
        ("Div", [VECTOR, np.array(0)], {}),
        ("Gather", [VECTOR, np.array(9)], {}),
        ("ConstantOfShape", [np.array([2**40])], {}),
        ("Expand", [np.array(1), np.array([2**20, 2**20])], {}),
        ("Range", [np.array(0), np.array(2**50), np.array(1)], {}),
        ("Range", [np.array(0), np.array(9), np.array(0)], {}),
        ("Add", [np.ones((LIMIT, 1)), np.ones((1, LIMIT))], {}),
        ("Reshape", [VECTOR, np.array([7, 7])], {}),
        ("Softmax", [VECTOR], {}),
    ],
)
def test_what_has_no_value_or_a_large_one_is_none(op, inputs, attributes):
    assert evaluated(op, inputs, attributes) is None


def test_weights_and_broken_constants_have_no_value():
    assert small_value(numpy_helper.from_array(np.ones(LIMIT + 1))) is None
    assert small_value(TensorProto(dims=[4], data_type=1, raw_data=b"short")) is None
    assert small_value(TensorProto(dims=[-4], data_type=1)) is None
    assert small_value(numpy_helper.from_array(VECTOR)).tolist() == [2, -3, 4]
