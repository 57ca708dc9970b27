import math

import pytest

from hwnas.kernels import Kernel
from hwnas.predictors.features import kernel_features


def kernel(op, inputs, outputs):
    return Kernel(op, (), (), inputs, (), outputs)


@pytest.mark.parametrize(
    "found",
    [
        kernel("Relu", ((),), ((),)),
        kernel("ReduceMean", ((1, 8, 4, 4),), ((),)),
        kernel("MatMul", ((5,), (5,)), ((),)),
        kernel("Div", ((), (1, 8, 4, 4)), ((1, 8, 4, 4),)),
    ],
    ids=lambda found: found.key,
)
def test_scalars_have_features(found):
    usual = kernel_features(kernel("Relu", ((1, 8, 4, 4),), ((1, 8, 4, 4),)))
    features = kernel_features(found)
    assert len(features) == len(usual)
    assert all(map(math.isfinite, features))


def test_a_scalar_has_one_channel_as_a_vector_of_one():
    scalar, vector = (kernel_features(kernel("Relu", (shape,), (shape,))) for shape in ((), (1,)))
    assert scalar == vector
