import numpy as np
import pytest
from onnx import helper, numpy_helper

from hwnas.runtimes.torch_engine import Session

X = (1, 4, 6, 8)
W = (6, 4, 3, 3)


@pytest.mark.parametrize(
    "op",
    "Relu Sigmoid Tanh HardSwish HardSigmoid LeakyRelu Elu Celu Selu Gelu Softplus Softsign Mish "
    "Abs Neg Exp Sin Cos Erf Floor Ceil Round Sign Reciprocal IsNaN Identity Dropout "
    "GlobalAveragePool GlobalMaxPool Softmax LogSoftmax Sum Mean Max Min".split(),
)
def test_operators_of_one_input(check, op):
    check(op, X, tolerance=1e-4)


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
        ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
        ("LeakyRelu", {"alpha": 0.2}),
        ("Gelu", {"approximate": "tanh"}),
        ("Softmax", {"axis": 1}),
        ("LRN", {"size": 3, "alpha": 0.5}),
    ],
)
def test_attributes_of_operators_of_one_input(check, op, attributes):
    check(op, X, **attributes)


@pytest.mark.parametrize("op", ["Log", "Sqrt"])
def test_operators_of_a_positive_input(check, op):
    check(op, np.linspace(0.1, 3, 7, dtype=np.float32))


@pytest.mark.parametrize("op", "Add Sub Mul Div Max Min Sum Mean PRelu".split())
def test_operators_of_two_inputs(check, op):
    check(op, X, (4, 1, 1))
    check(op, X, (4, 1, 1), constants=(1,))


@pytest.mark.parametrize("op", "Equal Greater Less GreaterOrEqual LessOrEqual".split())
def test_comparisons(check, op):
    check(op, np.float32([1, 2, 3]), np.float32([2, 2, 2]))


@pytest.mark.parametrize("op", "And Or Xor".split())
def test_logic(check, op):
    check(op, np.array([True, True, False]), np.array([True, False, False]))


def test_more_than_two_inputs_and_choices(check):
    check("Sum", X, X, X)
    check("Max", X, X, (1,))
    check("Where", np.array([True, False]), (2,), (2,))
    check("Not", np.array([True, False]))
    check("Pow", np.float32([1, 2, 3]), np.float32([2]), constants=(1,))


def test_whole_numbers_are_divided_towards_zero(check):
    a, b = np.int64([7, -7, 7, -7]), np.int64([2, 2, -2, -2])
    check("Div", a, b)
    check("Mod", a, b)
    check("Mod", np.float32([7, -7]), np.float32([2, 2]), fmod=1)


@pytest.mark.parametrize(("low", "high"), [(0, 6), (-0.5, 0.5), (None, 1), (0, None), (None, None)])
def test_clip(check, low, high):
    bounds = [None if value is None else np.array(value, np.float32) for value in (low, high)]
    check("Clip", X, *bounds, constants=(1, 2))


@pytest.mark.parametrize("trans", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.5, 2.0)])
def test_gemm(check, trans, alpha, beta):
    a, b = ((5, 3), (3, 5))[trans[0]], ((3, 4), (4, 3))[trans[1]]
    common = {"transA": trans[0], "transB": trans[1], "alpha": alpha, "beta": beta}
    check("Gemm", a, b, (4,), constants=(1, 2), **common)
    check("Gemm", a, b, (5, 1), constants=(1, 2), **common)
    check("Gemm", a, b, **common)


def test_products(check):
    check("MatMul", (2, 3, 4, 5), (5, 6))
    check("MatMul", (2, 3, 4, 5), (2, 3, 5, 2))
    check("Einsum", (2, 3, 4), (2, 4, 5), equation="bij,bjk->bik")


def test_normalisations(check):
    positive = np.float32([0.5, 1, 1.5, 2])
    check("BatchNormalization", X, (4,), (4,), (4,), positive, constants=(1, 2, 3, 4))
    check("LayerNormalization", (2, 5, 8), (8,), (8,), constants=(1, 2), tolerance=1e-4)
    check("LayerNormalization", (2, 5, 8), (5, 8), constants=(1,), axis=1, tolerance=1e-4)
    check("LayerNormalization", (2, 5, 8), (8,), constants=(1,), axis=1, tolerance=1e-4)
    check("InstanceNormalization", X, (4,), (4,), constants=(1, 2), tolerance=1e-4)


def test_what_is_not_known_is_said(check):
    for op, inputs, attributes, says in (
        ("ConvTranspose", (X, (4, 3, 3, 3)), {"auto_pad": "SAME_UPPER"}, "auto_pad"),
        ("LRN", (X,), {"size": 4}, "size must be odd, received 4"),
        ("MaxPool", (X,), {"kernel_shape": [2, 2], "outputs": 2}, "indices"),
    ):
        with pytest.raises(ValueError, match=f"operator {op} .*{says}"):
            check(op, *inputs, constants=(1,), **attributes)


@pytest.mark.parametrize(("opset", "size"), [(18, 2), (21, 4)])
def test_group_normalisation_has_a_scale_for_each_group_and_for_each_channel_later(opset, size):
    rng = np.random.default_rng(0)
    scale, bias = rng.standard_normal((2, size)).astype(np.float32)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2)],
        "g",
        [value("x", 1, X)],
        [value("y", 1, X)],
        [numpy_helper.from_array(scale, "s"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", opset)])
    x = rng.standard_normal(X).astype(np.float32)
    groups = x.reshape(1, 2, -1)
    groups = (groups - groups.mean(2, keepdims=True)) / np.sqrt(groups.var(2, keepdims=True) + 1e-5)
    factor, shift = (np.repeat(v, 4 // size).reshape(1, 4, 1, 1) for v in (scale, bias))
    found = Session(model.SerializeToString()).run({"x": x})["y"]
    np.testing.assert_allclose(found, groups.reshape(X) * factor + shift, rtol=1e-4, atol=1e-5)
