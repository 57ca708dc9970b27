from dataclasses import replace

import numpy as np
import pytest

from hwnas.kernels import Kernel
from hwnas.predictors.kernel_model import KernelPrices


def relu(side, op="Relu"):
    shape = (1, 8, side, side)
    return Kernel(op, (), (), (shape,), (), (shape,))


@pytest.fixture(scope="module")
def prices():
    table = {
        relu(side, op).key: 1e-6 * side**2
        for op in ("Relu", "Transpose")
        for side in range(4, 60, 2)
    }
    return KernelPrices().fit(table)


def test_kernels_like_those_measured_are_priced_by_the_model(prices):
    assert prices.source(relu(4)) == "table"
    assert prices.source(relu(5)) == prices.source(relu(5, "Transpose")) == "model"
    assert prices.source(relu(5, "Sigmoid")) == "roofline"


@pytest.mark.parametrize("dtype", ["int32", "float64", "bfloat16", "float16", "int64"])
def test_an_element_type_that_nobody_measured_is_a_roofline(prices, dtype):
    kernel = replace(relu(5), dtype=dtype)
    assert prices.source(kernel) == "roofline"
    assert prices.prices_ms([kernel])[kernel] == prices.roofline_ms(kernel)


def test_what_only_copies_is_known_by_the_size_of_its_elements(prices):
    moved = {dtype: replace(relu(5, "Transpose"), dtype=dtype) for dtype in ("int32", "int64")}
    assert prices.source(moved["int32"]) == "model"
    # Twice the bytes: the trees saw no such ratio of bytes to elements.
    assert prices.source(moved["int64"]) == "roofline"
    same = relu(5, "Transpose")
    assert prices.prices_ms([moved["int32"]])[moved["int32"]] == prices.prices_ms([same])[same]


def test_windows_over_signals_are_not_known_from_those_over_images():
    def pool(*sides):
        shape = (1, 8, *sides)
        kept = (("kernel_shape", (3,) * len(sides)), ("strides", (1,) * len(sides)))
        return Kernel("MaxPool", (), kept, (shape,), (), (shape,))

    images = {pool(side, side).key: 1e-6 * side**2 for side in range(4, 80, 2)}
    prices = KernelPrices().fit(images)
    assert prices.source(pool(5, 5)) == "model"
    assert prices.source(pool(25)) == prices.source(pool(5, 5, 5)) == "roofline"
    signals = {pool(length).key: 1e-6 * length for length in range(4, 80, 2)}
    assert KernelPrices().fit(images | signals).source(pool(25)) == "model"


def test_what_is_saved_knows_the_same_kinds(prices):
    again = KernelPrices.from_json(prices.to_json())
    assert again.kinds == prices.kinds
    assert again.source(replace(relu(5), dtype="int32")) == "roofline"
    for one, other in zip(prices.kind_errors, again.kind_errors, strict=True):
        assert np.array_equal(one, other)


def test_fitting_again_forgets_the_kinds_of_before(prices):
    model = KernelPrices().fit(prices.table_)
    assert len(model.kinds) == len(model.kind_errors) == 2
    model.fit({relu(8, "Tanh").key: 1.0})
    assert len(model.kinds) == len(model.kind_errors) == 1


def test_sizes_beyond_those_measured_are_carried_by_the_costs():
    def true_ms(kernel):
        elements = kernel.input_elements + kernel.output_elements
        return 2e-3 + 2e-8 * kernel.macs + 3e-7 * elements

    def dense(channels, side):
        image = (1, channels, side, side)
        window = (("kernel_shape", (3, 3)), ("pads", (1,) * 4), ("strides", (1, 1)))
        weights = ((channels, channels, 3, 3), (channels,))
        return Kernel("Conv", (), window, (image,), weights, (image,))

    small = [dense(channels, side) for channels in range(8, 72, 8) for side in range(4, 30, 3)]
    model = KernelPrices().fit({kernel.key: true_ms(kernel) for kernel in small})
    large = [dense(256, 28), dense(64, 112), dense(512, 14)]
    priced = model.prices_ms(large)
    errors = [priced[kernel] / true_ms(kernel) - 1 for kernel in large]
    assert np.abs(errors).max() < 0.1
