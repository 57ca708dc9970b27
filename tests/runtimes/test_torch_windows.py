import numpy as np
import pytest
from onnx import helper, numpy_helper

from hwnas.runtimes import runtime
from hwnas.runtimes.torch_engine import Session

X = (1, 4, 6, 8)
W = (6, 4, 3, 3)


def whole(*numbers):
    return np.array(numbers, np.int64)


def check(op, *inputs, constants=(), outputs=1, opset=20, tolerance=1e-5, **attributes):
    """Hold the outputs of one operator against ONNX Runtime's.

    Args:
        op: Its type.
        inputs: Shapes (random values) or arrays of its inputs, ``None`` for one left out.
        constants: Positions of the inputs that are constants of the model.
    """
    rng = np.random.default_rng(0)
    arrays = [
        rng.standard_normal(item).astype(np.float32) if isinstance(item, tuple) else item
        for item in inputs
    ]
    names = ["" if array is None else f"i{position}" for position, array in enumerate(arrays)]
    found = [f"o{position}" for position in range(outputs)]
    given = {n: a for i, (n, a) in enumerate(zip(names, arrays, strict=True)) if i not in constants}
    given = {name: array for name, array in given.items() if array is not None}

    def info(name, array):
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        return helper.make_tensor_value_info(name, kind, array.shape)

    graph = helper.make_graph(
        [helper.make_node(op, names, found, **attributes)],
        op,
        [info(name, array) for name, array in given.items()],
        [helper.make_empty_tensor_value_info(name) for name in found],
        [
            numpy_helper.from_array(arrays[i], names[i])
            for i in constants
            if i < len(arrays) and arrays[i] is not None
        ],
    )
    model = helper.make_model(
        graph, ir_version=9, opset_imports=[helper.make_opsetid("", opset)]
    ).SerializeToString()
    actual = Session(model).run(given)
    expected = runtime("onnxruntime").run(model, given)
    for name in found:
        assert actual[name].shape == expected[name].shape
        np.testing.assert_allclose(actual[name], expected[name], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"pads": [1, 1, 1, 1], "strides": [2, 2]},
        {"pads": [0, 1, 2, 0]},
        {"dilations": [2, 2], "pads": [2, 2, 2, 2]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 3]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
        {"auto_pad": "VALID"},
    ],
    ids=str,
)
def test_convolutions(attributes):
    check("Conv", X, W, (6,), constants=(1, 2), tolerance=1e-4, **attributes)


def test_grouped_and_other_convolutions():
    check("Conv", X, (8, 2, 3, 3), constants=(1,), group=2, tolerance=1e-4)
    check("Conv", X, (4, 1, 5, 1), constants=(1,), group=4, tolerance=1e-4)
    check("Conv", X, (4, 1, 1, 1), (4,), constants=(1, 2), group=4)
    check("Conv", X, (4, 1, 1, 1), constants=(1,), group=4)
    check("Conv", X, (4, 1, 1, 1), constants=(1,), group=4, strides=[2, 2])
    check("Conv", X, (4, 1, 1, 1), constants=(1,), group=4, pads=[1, 1, 1, 1])
    check("Conv", X, W, tolerance=1e-4)
    check("Conv", (1, 4, 9), (6, 4, 3), constants=(1,), tolerance=1e-4)
    check("Conv", (1, 2, 5, 5, 5), (3, 2, 2, 2, 2), constants=(1,), tolerance=1e-4)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
        {"strides": [2, 2], "pads": [0, 1, 1, 0]},
        {"dilations": [2, 2]},
        {"group": 2},
    ],
    ids=str,
)
def test_transposed_convolutions(attributes):
    check("ConvTranspose", X, (4, 3, 3, 3), constants=(1,), tolerance=1e-4, **attributes)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"strides": [2, 2], "pads": [0, 0, 1, 1]},
        {"pads": [2, 2, 2, 2]},
        {"strides": [2, 2], "ceil_mode": 1},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    ],
    ids=str,
)
def test_pools(op, attributes):
    check(op, X, kernel_shape=[3, 3], **attributes)
    if op == "AveragePool":
        check(op, X, kernel_shape=[3, 3], count_include_pad=1, **attributes)
    else:
        check(op, X, kernel_shape=[2, 2], dilations=[2, 2])


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_pads(mode):
    check("Pad", X, whole(0, 0, 1, 2, 0, 0, 2, 1), constants=(1,), mode=mode)
    check("Pad", X, whole(1, 1), None, whole(3), constants=(1, 3), mode=mode)
    check("Pad", X, whole(*[0] * 8), constants=(1,), mode=mode)
    check("Pad", X, whole(0, 1, 0, 0, 0, 2, 0, 0), np.float32(3), constants=(1, 2))


@pytest.mark.parametrize(
    "attributes",
    [
        {"mode": "nearest"},
        {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        },
        {"mode": "linear"},
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        {"mode": "cubic", "cubic_coeff_a": -0.75},
    ],
    ids=str,
)
def test_resizes(attributes):
    scales, sizes = np.float32([1, 1, 2, 2]), whole(1, 4, 12, 16)
    check("Resize", X, None, scales, constants=(2,), tolerance=1e-4, **attributes)
    check("Resize", X, None, None, sizes, constants=(3,), tolerance=1e-4, **attributes)


def test_images_to_channels_and_back():
    check("SpaceToDepth", X, blocksize=2)
    check("DepthToSpace", X, blocksize=2)
    check("DepthToSpace", X, blocksize=2, mode="CRD")


def test_what_is_not_known_is_said():
    for op, inputs, attributes, says in (
        (
            "Resize",
            (X, None, np.float32([1, 1, 2, 2])),
            {
                "antialias": 1,
                "mode": "nearest",
                "coordinate_transformation_mode": "pytorch_half_pixel",
            },
            "is not known",
        ),
    ):
        with pytest.raises(ValueError, match=f"operator {op} .*{says}"):
            check(op, *inputs, constants=(1, 2), **attributes)
