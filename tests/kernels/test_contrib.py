import numpy as np
import pytest

from hwnas.kernels.contrib import contrib_type
from hwnas.kernels.graph import Node

TYPES = {
    "image": ((1, 8, 9, 9), "uint8"),
    "other": ((1, 4, 9, 9), "uint8"),
    "small": ((1, 8, 4, 4), "uint8"),
    "row": ((1, 5, 16), "uint8"),
    "weight": ((16, 6), "int8"),
    "s": ((), "float32"),
    "z": ((), "uint8"),
}


def typed(op, inputs, **attributes):
    return contrib_type(Node(op, inputs.split(), ["y"], attributes), TYPES, {})


def test_products_of_levels_give_floats():
    assert typed("MatMulIntegerToFloat", "row weight s s z z") == ((1, 5, 6), "float32")
    assert typed("MatMulIntegerToFloat", "image weight s s z z") is None
    assert typed("MatMulIntegerToFloat", "row absent s s z z") is None


@pytest.mark.parametrize(
    ("inputs", "axis", "shape"),
    [
        ("s z image s z other s z", 1, (1, 12, 9, 9)),
        ("s z image s z other s z", -3, (1, 12, 9, 9)),
        ("s z image s z", 0, (1, 8, 9, 9)),
        ("s z image s z small s z", 1, None),
        ("s z image s z row s z", 1, None),
        ("s z image s z absent s z", 1, None),
        ("s z image s z other s z", 4, None),
        ("s z", 1, None),
    ],
)
def test_joins_of_levels(inputs, axis, shape):
    assert typed("QLinearConcat", inputs, axis=axis) == (shape and (shape, "uint8"))


def test_a_join_without_an_axis_is_not_known():
    assert typed("QLinearConcat", "s z image s z other s z") is None


@pytest.mark.parametrize(
    ("attributes", "sides"),
    [
        ({"kernel_shape": (2, 2), "strides": (2, 2)}, (4, 4)),
        ({"kernel_shape": (2, 2), "strides": (2, 2), "ceil_mode": 1}, (5, 5)),
        ({"kernel_shape": (3, 3), "pads": (1, 1, 1, 1), "count_include_pad": 1}, (9, 9)),
        ({"kernel_shape": (3, 3), "strides": (2, 1), "auto_pad": "SAME_UPPER"}, (5, 9)),
        ({"kernel_shape": (11, 11)}, None),
        ({"kernel_shape": (2,)}, None),
        ({}, None),
        ({"kernel_shape": (2, 2), "channels_last": 1}, None),
    ],
)
def test_pools_of_levels(attributes, sides):
    found = typed("QLinearAveragePool", "image s z s z", **attributes)
    assert found == (sides and ((1, 8, *sides), "uint8"))


def test_what_is_not_known_is_none():
    assert contrib_type(Node("Magic", ["image"], ["y"]), TYPES, {"k": np.zeros(1)}) is None
