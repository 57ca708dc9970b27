import numpy as np
import pytest

X = (1, 4, 6, 8)
W = (6, 4, 3, 3)


def whole(*numbers):
    return np.array(numbers, np.int64)


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
def test_convolutions(check, attributes):
    check("Conv", X, W, (6,), constants=(1, 2), tolerance=1e-4, **attributes)


def test_grouped_and_other_convolutions(check):
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
def test_transposed_convolutions(check, attributes):
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
def test_pools(check, op, attributes):
    check(op, X, kernel_shape=[3, 3], **attributes)
    if op == "AveragePool":
        check(op, X, kernel_shape=[3, 3], count_include_pad=1, **attributes)
    else:
        check(op, X, kernel_shape=[2, 2], dilations=[2, 2])


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_pads(check, mode):
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
def test_resizes(check, attributes):
    scales, sizes = np.float32([1, 1, 2, 2]), whole(1, 4, 12, 16)
    check("Resize", X, None, scales, constants=(2,), tolerance=1e-4, **attributes)
    check("Resize", X, None, None, sizes, constants=(3,), tolerance=1e-4, **attributes)


def test_images_to_channels_and_back(check):
    check("SpaceToDepth", X, blocksize=2)
    check("DepthToSpace", X, blocksize=2)
    check("DepthToSpace", X, blocksize=2, mode="CRD")


def test_what_is_not_known_is_said(check):
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
