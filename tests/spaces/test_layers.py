import pytest

from hwnas.errors import ShapeError, SpecError
from hwnas.spaces.layers import (
    Activation,
    Add,
    BatchNorm,
    Conv2d,
    Flatten,
    GlobalAveragePool,
    Linear,
    Pool2d,
    Scale,
)

IMAGE = (8, 7, 6)


@pytest.mark.parametrize(
    ("layer", "inputs", "output"),
    [
        (Conv2d(4, 3), [IMAGE], (4, 7, 6)),
        (Conv2d(4, 5, stride=2), [IMAGE], (4, 4, 3)),
        (Conv2d(4, 1, stride=7), [IMAGE], (4, 1, 1)),
        (Conv2d(4, 3, groups=2), [IMAGE], (4, 7, 6)),
        (Pool2d("max", 3, 2), [IMAGE], (8, 4, 3)),
        (Pool2d("average", 1, 4), [IMAGE], (8, 2, 2)),
        (Pool2d("average", 2, 2, padded=False), [IMAGE], (8, 3, 3)),
        (BatchNorm(), [IMAGE], IMAGE),
        (Activation("silu"), [IMAGE], IMAGE),
        (Add(), [IMAGE, IMAGE], IMAGE),
        (Scale(), [IMAGE, (8, 1, 1)], IMAGE),
        (GlobalAveragePool(), [IMAGE], (8, 1, 1)),
        (Flatten(), [IMAGE], (336,)),
        (Linear(5), [(336,)], (5,)),
    ],
    ids=str,
)
def test_shapes(layer, inputs, output):
    assert layer.arity == len(inputs)
    assert layer.output_shape(*inputs) == output


@pytest.mark.parametrize(
    ("layer", "shape", "parameters", "macs"),
    [
        (Conv2d(4, 3), IMAGE, {"weight": (4, 8, 3, 3)}, 4 * 8 * 9 * 42),
        (Conv2d(4, 3, 2, 2, True), IMAGE, {"weight": (4, 4, 3, 3), "bias": (4,)}, 4 * 4 * 9 * 12),
        (BatchNorm(), IMAGE, {"weight": (8,), "bias": (8,)}, 0),
        (Linear(5), (6,), {"weight": (5, 6), "bias": (5,)}, 30),
        (Pool2d("max", 3, 2), IMAGE, {}, 0),
        (Activation("relu"), IMAGE, {}, 0),
    ],
    ids=str,
)
def test_parameters_and_costs(layer, shape, parameters, macs):
    assert layer.parameter_shapes(shape) == parameters
    assert layer.macs(shape) == macs


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Conv2d(0, 3), "out_channels must be at least 1, received 0"),
        (lambda: Conv2d(4, 3, stride=0), "stride must be at least 1"),
        (lambda: Conv2d(4, 2), "kernel must be odd, received 2"),
        (lambda: Conv2d(4, 3, groups=3), "received 3 groups for 4 channels"),
        (lambda: Pool2d("median", 3, 1), "max or average, received 'median'"),
        (lambda: Pool2d("max", 4, 1), "kernel must be odd"),
        (lambda: Pool2d("max", 3, 0), "stride must be at least 1"),
        (lambda: Activation("rleu"), "must be one of relu.*received 'rleu'"),
        (lambda: Linear(0), "out_features must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(make, says):
    with pytest.raises(SpecError, match=says):
        make()


@pytest.mark.parametrize(
    ("layer", "inputs", "error", "says"),
    [
        (Conv2d(4, 3), [(8,)], ShapeError, "convolution takes an image"),
        (Conv2d(4, 3, groups=4), [(6, 4, 4)], SpecError, "4 groups for 6 channels"),
        (Conv2d(4, 3, stride=8), [IMAGE], SpecError, "stride 8 goes past an image of 7×6"),
        (Add(), [IMAGE, (8, 7, 5)], ShapeError, "two equal shapes"),
        (Scale(), [IMAGE, (4, 1, 1)], ShapeError, r"factors of shape \(8, 1, 1\)"),
        (Pool2d("max", 3, 2), [(8,)], ShapeError, "pool takes an image"),
        (Pool2d("max", 7, 1, padded=False), [IMAGE], ShapeError, "pool of 7 goes past an image"),
        (GlobalAveragePool(), [(8,)], ShapeError, "global pool takes an image"),
        (Linear(5), [IMAGE], ShapeError, "linear takes a vector"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(layer, inputs, error, says):
    with pytest.raises(error, match=says):
        layer.output_shape(*inputs)
