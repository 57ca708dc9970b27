import json

import numpy as np
import pytest

from hwnas.kernels import Kernel
from hwnas.predictors.analytical import TERMS, AnalyticalCost, kernel_terms, kinds, manner
from hwnas.profiling.general import general_kernels


def convolution(channels, out, side, size=3, groups=1):
    group = (("group", groups),) if groups > 1 else ()
    return Kernel(
        "Conv",
        (),
        (*group, ("kernel_shape", (size, size)), ("strides", (1, 1))),
        ((1, channels, side, side),),
        ((out, channels // groups, size, size), (out,)),
        ((1, out, side, side),),
    )


def true_ms(kernel):
    """A device on which everything is proportional to its size."""
    found = dict(zip(TERMS, kernel_terms(kernel), strict=True))
    return (
        2e-3
        + 2e-8 * found["macs"]
        + 3e-7 * (found["inputs"] + found["outputs"])
        + 1e-3 * (found["groups"] if kernel.family == "grouped" else 0)
    )


def test_terms_are_counts_of_the_kernel():
    own = convolution(16, 32, 8, groups=4)
    found = dict(zip(TERMS, kernel_terms(own), strict=True))
    assert found == {
        "kernel": 1,
        "macs": 32 * 64 * 4 * 9,
        "weights": 32 * 4 * 9 + 32,
        "inputs": 16 * 64,
        "outputs": 32 * 64,
        "patches": 16 * 9 * 64,
        "groups": 4,
        "products": 32 * 64 * 4,
    }


@pytest.mark.parametrize(
    ("channels", "groups", "expected"),
    [(64, 4, "16"), (32, 4, "8"), (48, 4, "1"), (64, 1, ""), (64, 64, "")],
)
def test_grouped_convolutions_run_by_the_channels_of_a_group(channels, groups, expected):
    assert manner(convolution(channels, channels, 8, groups=groups)) == expected


def test_an_operand_that_is_spread_is_another_manner():
    image, gate = (1, 64, 28, 28), (1, 64, 1, 1)
    alike = Kernel("Mul", (), (), (image, image), (), (image,))
    assert manner(alike) == "alike"
    assert manner(Kernel("Mul", (), (), (image, gate), (), (image,))) == "broadcast"
    assert manner(Kernel("Add", (), (), (image,), ((),), (image,))) == "broadcast"


def signal(channels, out, length, size=3):
    kept = (("kernel_shape", (size,)), ("pads", (1, 1)), ("strides", (1,)))
    weights = ((out, channels, size), (out,))
    return Kernel("Conv", (), kept, ((1, channels, length),), weights, ((1, out, length),))


def test_a_window_that_moves_over_a_signal_is_another_manner():
    assert manner(signal(16, 16, 40)) == "1d"
    assert manner(convolution(16, 16, 8)) == ""


def test_what_all_kernels_of_a_kind_have_alike_is_not_taken_for_a_rate():
    """Sums with a scalar say nothing of sums with a large constant."""

    def constant(elements):
        shape = (1, 64, elements)
        return Kernel("Add", (), (), (shape,), ((),), (shape,))

    kernels = [constant(size) for size in range(10, 400, 10)]
    others = general_kernels(200, 3)
    prices = np.array([1e-3 + 1e-7 * kernel.output_elements for kernel in kernels])
    cost = AnalyticalCost().fit(
        [*kernels, *others], np.concatenate([prices, [true_ms(own) for own in others]])
    )
    large = Kernel("Add", (), (), ((1, 64, 96),), ((64, 96),), ((1, 64, 96),))
    assert np.exp(cost.log_ms([large]))[0] < 0.02
    # A grouped convolution of as many groups as all that were measured is no dearer for them.
    own = [convolution(64, 64, side, groups=4) for side in (4, 7, 8, 14, 16, 28, 32)]
    cost = AnalyticalCost().fit(own, np.array([true_ms(kernel) for kernel in own]))
    more = convolution(64, 64, 16, groups=8)
    assert np.exp(cost.log_ms([more]))[0] < 2 * true_ms(more)


def test_kinds_go_from_all_kernels_to_its_own():
    assert kinds(convolution(32, 32, 8, groups=4)) == (
        "",
        "grouped",
        "Conv/grouped",
        "Conv/grouped/8",
    )


def test_a_device_that_is_a_sum_is_found_and_extrapolated():
    kernels = general_kernels(400, 3)
    cost = AnalyticalCost().fit(kernels, np.array([true_ms(kernel) for kernel in kernels]))
    larger = [
        convolution(2048, 2048, 14, size=1),
        convolution(512, 512, 56),
        convolution(8, 8, 224),
    ]
    wanted = np.log([true_ms(kernel) for kernel in larger])
    assert np.abs(cost.log_ms(larger) - wanted).max() < 0.1
    grouped = [convolution(64 * c, 64 * c, 20, groups=64) for c in (3, 4, 16)]
    wanted = np.log([true_ms(kernel) for kernel in grouped])
    assert np.abs(cost.log_ms(grouped) - wanted).max() < 0.25


def test_prices_rise_in_every_term():
    kernels = general_kernels(300, 1)
    rng = np.random.default_rng(0)
    noisy = np.array([true_ms(kernel) for kernel in kernels]) * np.exp(rng.normal(0, 0.3, 300))
    cost = AnalyticalCost().fit(kernels, noisy)
    assert all((rates >= 0).all() for rates in cost.rates_.values())
    sides = cost.log_ms([convolution(32, 32, side) for side in (4, 8, 20, 56, 300)])
    assert (np.diff(sides) > 0).all()


def test_a_kernel_that_runs_otherwise_does_not_decide():
    kernels = [convolution(16, 16, side) for side in range(4, 44)]
    prices = np.array([true_ms(kernel) for kernel in kernels])
    spoilt = prices.copy()
    spoilt[::10] *= 30
    error = AnalyticalCost().fit(kernels, spoilt).log_ms(kernels) - np.log(prices)
    assert np.median(np.abs(error)) < 0.1


def test_a_kind_that_was_not_measured_has_the_rates_of_the_wider_one():
    dense = [convolution(16, 16, side) for side in range(4, 44)]
    cost = AnalyticalCost().fit(dense, np.array([true_ms(kernel) for kernel in dense]))
    relu = Kernel("Relu", (), (), ((1, 64, 28, 28),), (), ((1, 64, 28, 28),))
    assert kinds(relu)[1] not in cost.rates_
    assert np.isfinite(cost.log_ms([relu])).all()


def test_nothing_measured_prices_at_the_least():
    cost = AnalyticalCost().fit([], np.zeros(0))
    assert np.exp(cost.log_ms([convolution(16, 16, 8)])) == pytest.approx([cost.least_ms_])


def test_what_was_saved_prices_to_the_bit():
    kernels = general_kernels(120, 2)
    cost = AnalyticalCost().fit(kernels, np.array([true_ms(kernel) for kernel in kernels]))
    again = AnalyticalCost.from_json(json.loads(json.dumps(cost.to_json())))
    assert (again.log_ms(kernels) == cost.log_ms(kernels)).all()
