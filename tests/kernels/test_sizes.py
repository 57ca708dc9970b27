import numpy as np
import pytest

from hwnas.errors import ShapeError


def floats(*values):
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("op", "constants", "more", "shape"),
    [
        ("Reshape", [np.array([3, -1])], {}, (3, 64)),
        ("Reshape", [np.array([0, 48, 1])], {}, (4, 48, 1)),
        ("Resize", [None, floats(1, 0.5, 2)], {}, (4, 3, 16)),
        ("Resize", [None, None, np.array([4, 1, 1])], {}, (4, 1, 1)),
        ("Resize", [floats(1, 0.5, 2)], {"opset": 10}, (4, 3, 16)),
        ("Upsample", [floats(1, 2, 2)], {"opset": 9}, (4, 12, 16)),
        ("Gather", [np.array([-4, 3])], {}, (2, 6, 8)),
        ("Gather", [np.array([[5]])], {"axis": 1}, (4, 1, 1, 8)),
        ("LRN", [], {"size": 1}, (4, 6, 8)),
    ],
)
def test_sizes_that_fit_are_let_through(infer, op, constants, more, shape):
    assert infer(op, (4, 6, 8), constants, **more) == shape


@pytest.mark.parametrize(
    ("op", "constants", "more", "says"),
    [
        ("Reshape", [np.array([5, 7])], {}, r"\(4,6,8\) has 192 elements, \(5,7\) has 35"),
        ("Resize", [None, floats(1, np.inf, 1)], {}, "scales .* finite and positive"),
        ("Resize", [None, floats(1, 1, -1)], {}, "finite and positive"),
        ("Resize", [floats(1, 0, 1)], {"opset": 10}, "finite and positive"),
        ("Upsample", [floats(1, np.nan, 1)], {"opset": 9}, "finite and positive"),
        ("Resize", [None, None, np.array([4, 0, 1])], {}, r"sizes \[4, 0, 1\]"),
        ("Resize", [None, floats(1, 1, 0.01)], {}, r"leave nothing of \(4,6,8\)"),
        ("Gather", [np.array([0, 4])], {}, "index 4 is out of range of axis 0, which has 4"),
        ("Gather", [np.array(-9)], {"axis": -1}, "index -9 is out of range of axis -1"),
        ("LRN", [], {"size": 0}, "size is 0, and must be at least 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(infer, op, constants, more, says):
    with pytest.raises(ShapeError, match=f"'m': {op} 'it': .*{says}"):
        infer(op, (4, 6, 8), constants, **more)
