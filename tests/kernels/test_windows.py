import numpy as np
import pytest

from hwnas.errors import ShapeError

SMALL = {"kernel_shape": [3, 3]}
WEIGHT = [(4, 8, 3, 3)]


def constants(shapes):
    return [np.ones(shape, np.float32) for shape in shapes]


@pytest.mark.parametrize(
    ("op", "weights", "attributes"),
    [
        ("Conv", WEIGHT, {"auto_pad": "SAME_LOWER", "dilations": [5, 5]}),
        ("Conv", WEIGHT, {"auto_pad": "NOTSET", "pads": [1, 1, 1, 1]}),
        ("Conv", [(4, 8, 8, 8)], {"pads": [1, 1, 1, 1]}),
        ("MaxPool", [], {"auto_pad": "VALID", "pads": [0, 0, 0, 0], **SMALL}),
        # ONNX Runtime gives one column for the one that is there.
        ("AveragePool", [], {"kernel_shape": [7, 7], "strides": [2, 2], "ceil_mode": 1}),
    ],
)
def test_windows_that_fit_are_let_through(infer, op, weights, attributes):
    shape = infer(op, (1, 8, 6, 6), constants(weights), **attributes)
    assert len(shape) == 4 and min(shape) > 0


@pytest.mark.parametrize(
    ("op", "weights", "attributes", "says"),
    [
        ("Conv", WEIGHT, {"auto_pad": "FOO"}, "auto_pad is 'FOO'; there are NOTSET"),
        ("Conv", WEIGHT, {"auto_pad": "VALID", "pads": [0] * 4}, "pads beside auto_pad 'VALID'"),
        ("MaxPool", [], {"auto_pad": "SAME_UPPER", "pads": [1] * 4, **SMALL}, "pads beside"),
        ("Conv", WEIGHT, {"kernel_shape": [5, 5]}, r"kernel_shape \(5,5\) is not .*\(4,8,3,3\)"),
        ("ConvTranspose", [(8, 4, 3, 3)], {"kernel_shape": [2, 2]}, "is not that of its weight"),
        ("Conv", [(4, 8, 7, 7)], {}, r"window \(7,7\) is larger than its padded input \(6,6\)"),
        ("Conv", WEIGHT, {"dilations": [1, 3]}, r"window \(3,7\) is larger"),
        ("AveragePool", [], {"kernel_shape": [9, 1], "pads": [1] * 4}, r"padded input \(8,8\)"),
        ("MaxPool", [], {"kernel_shape": [8, 8], "strides": [2, 2], "ceil_mode": 1}, "larger"),
        ("MaxPool", [], {"kernel_shape": [7, 7], "strides": [9, 9]}, "larger"),
    ],
)
def test_windows_that_no_runtime_runs_are_refused(infer, op, weights, attributes, says):
    with pytest.raises(ShapeError, match=f"{op} 'it': .*{says}"):
        infer(op, (1, 8, 6, 6), constants(weights), **attributes)
