import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

X = (1, 4, 6, 8)


def whole(*numbers):
    return np.array(numbers, np.int64)


def test_reshapes(check):
    check("Reshape", X, whole(0, -1, 8), constants=(1,))
    check("Flatten", X)
    check("Flatten", X, axis=-1)
    check("Flatten", X, axis=0)
    check("Squeeze", (1, 3, 1, 2), constants=(1,))
    check("Squeeze", (1, 3, 1, 2), whole(0, -2), constants=(1,))
    check("Unsqueeze", (3, 2), whole(0, -1), constants=(1,))
    check("Expand", (3, 1), whole(2, 1, 4), constants=(1,))
    check("Tile", (3, 2), whole(2, 3), constants=(1,))
    check("Transpose", X)
    check("Transpose", X, perm=[0, 2, 3, 1])


def test_joins_and_parts(check):
    check("Concat", X, X, (1, 2, 6, 8), axis=1)
    check("Split", X, outputs=2, axis=1, num_outputs=2)
    check("Split", (7, 2), outputs=3, num_outputs=3)
    check("Split", X, whole(1, 3), outputs=2, axis=1, constants=(1,))
    check("Trilu", (4, 5), whole(1), constants=(1,), upper=0)
    check("TopK", (3, 9), whole(4), constants=(1,), outputs=2)
    check("CumSum", (3, 9), whole(1), constants=(1,))


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ((1, 2), (3, 100), None, None),
        ((-3,), (2**62,), (3,), (2,)),
        ((5,), (1,), (2,), (-2,)),
        ((-1,), (-(2**62),), (-1,), (-1,)),
        ((4,), (2,), (2,), None),
    ],
)
def test_slices(check, starts, ends, axes, steps):
    rest = [None if item is None else whole(*item) for item in (axes, steps)]
    check("Slice", X, whole(*starts), whole(*ends), *rest, constants=(1, 2, 3, 4))


def test_gathers(check):
    check("Gather", X, np.array(-1, np.int64), constants=(1,), axis=1)
    check("Gather", X, np.array([[0, -1], [2, 1]], np.int64), constants=(1,), axis=2)
    check("Gather", X, np.array([1, 0], np.int64), axis=3)
    check("GatherElements", (3, 3), np.array([[0, 1, 2]], np.int64), axis=0)


@pytest.mark.parametrize(
    "op",
    "ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare "
    "ReduceLogSumExp".split(),
)
def test_reductions(check, op):
    check(op, (2, 3, 4), tolerance=1e-4)
    check(op, (2, 3, 4), whole(0, -1), constants=(1,), tolerance=1e-4)
    check(op, (2, 3, 4), whole(1), constants=(1,), keepdims=0, tolerance=1e-4)
    if op not in ("ReduceSum",):
        check(op, (2, 3, 4), opset=13, axes=[1], tolerance=1e-4)


def test_other_reductions(check):
    check("ReduceLogSum", np.float32([[1, 2], [3, 4]]))
    check("ReduceSum", X, constants=(1,), noop_with_empty_axes=1)
    check("ArgMax", X, axis=1)
    check("ArgMin", X, axis=-1, keepdims=0)


def test_types(check):
    check("Cast", X, to=TensorProto.INT32)
    check("Cast", X, to=TensorProto.FLOAT)
    check("CastLike", X, whole(1))


def test_constants_and_shapes(check):
    check("Constant", value=numpy_helper.from_array(np.ones((2, 3), np.float32)))
    check("Constant", value_floats=[1.0, 2.0])
    check("Constant", value_int=3)
    check("ConstantOfShape", whole(2, 3), constants=(0,))
    check("ConstantOfShape", whole(2), constants=(0,), value=helper.make_tensor("v", 7, [1], [5]))
    check("Shape", X)
    check("Shape", X, start=1, end=-1)
    check("Size", X)
    check("Range", *(np.array(n, np.int64) for n in (2, 9, 3)), constants=(0, 1, 2))


def test_what_is_not_known_is_said(check):
    for op, inputs, attributes, says in (
        ("Cast", (X,), {"to": TensorProto.BFLOAT16}, "BFLOAT16"),
        ("CumSum", (X, whole(0)), {"exclusive": 1}, "exclusive"),
    ):
        with pytest.raises(ValueError, match=f"operator {op} .*{says}"):
            check(op, *inputs, constants=(1, 2), **attributes)
