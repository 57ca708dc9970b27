import json

import numpy as np
import pytest

from hwnas.kernels import Kernel
from hwnas.predictors.doubt import Doubt, unsure_ms
from hwnas.predictors.kernel_model import KernelPrices


def dense(channels, out, side=8):
    return Kernel(
        "Conv",
        ("Relu",),
        (("kernel_shape", (3, 3)), ("pads", (1, 1, 1, 1)), ("strides", (1, 1))),
        ((1, channels, side, side),),
        ((out, channels, 3, 3), (out,)),
        ((1, out, side, side),),
    )


def softmax(tokens):
    shape = (1, 2, tokens, tokens)
    return Kernel("Softmax", (), (("axis", -1),), (shape,), (), (shape,))


@pytest.fixture(scope="module")
def prices():
    rng = np.random.default_rng(0)
    kernels = {dense(8 * a, 8 * b, s) for a in range(1, 9) for b in range(1, 9) for s in (4, 8)}
    table = {k.key: k.macs / 2e7 * rng.lognormal(0, 0.05) for k in sorted(kernels, key=str)}
    return KernelPrices().fit(table)


@pytest.fixture(scope="module")
def doubt(prices):
    rng = np.random.default_rng(1)
    keys = sorted(prices.table_)
    bags = [
        {Kernel.from_key(keys[i]): 1 + int(rng.integers(3)) for i in rng.choice(len(keys), 8)}
        for _ in range(40)
    ]
    return Doubt().fit(prices, bags)


def test_a_kernel_left_out_is_priced_without_its_like(prices):
    left_out = prices.left_out_ms
    assert set(left_out) == set(prices.table_)
    ratios = np.array([left_out[key] / prices.table_[key] for key in left_out])
    seen = prices.prices_ms([dense(12, 20)])[dense(12, 20)] / (dense(12, 20).macs / 2e7)
    assert np.abs(np.log(ratios)).mean() > 0.03
    assert 0.5 < seen < 2
    few = dict(list(prices.table_.items())[:5])
    assert KernelPrices().fit(few).left_out_ms == {}


def test_what_is_not_measured_is_told_by_its_source(prices):
    known, modelled, foreign = dense(8, 8), dense(12, 20), softmax(16)
    found = unsure_ms(prices, [{known: 2}, {known: 1, modelled: 3}, {foreign: 2}])
    own = prices.prices_ms([modelled, foreign])
    expected = [[0, 0], [3 * own[modelled], 0], [0, 2 * own[foreign]]]
    assert np.allclose(found, expected)


def test_intervals_widen_with_the_share_that_is_not_measured(doubt, prices):
    shares = np.array([[0.0, 0.0], [0.5, 0.0], [1.0, 0.0], [0.0, 1.0]])
    low, high = doubt.widening(shares, 0.95, prices)
    assert high[0] == low[0] == 0
    assert np.allclose(high[2], 2 * high[1])
    assert (low >= 0).all() and (high >= 0).all()
    assert low[2] + high[2] > 0 and low[3] + high[3] > 0
    wider = doubt.widening(shares, 0.99, prices)
    assert (wider[0] >= low).all() and (wider[1] >= high).all()


def test_shares_that_the_fitted_networks_had_too_widen_nothing(prices):
    bag = {dense(8, 8): 1, dense(12, 20): 1}
    doubt = Doubt().fit(prices, [bag] * 6)
    assert 0 < doubt.usual_[0] < 1
    assert doubt.widening(doubt.usual_[None], 0.9, prices)[1][0] == 0


def test_saving_keeps_all(doubt, prices):
    again = Doubt.from_json(json.loads(json.dumps(doubt.to_json())))
    shares = np.array([[0.3, 0.4]])
    assert np.array_equal(again.widening(shares, 0.9, prices), doubt.widening(shares, 0.9, prices))


def test_the_family_that_is_off_most_is_believed_of_the_next(prices):
    wrong = KernelPrices().fit(prices.table_)
    # As if the model were off by three for kernels of 48 channels only.
    wrong.left_out_ms = {k: v * (3 if "x48x" in k else 1) for k, v in prices.table_.items()}
    near = [{dense(8, 8 * i): 1} for i in range(1, 6)] * 2
    far = [{dense(48, 8 * i): 1} for i in range(1, 6)] * 2
    together = Doubt().fit(wrong, near * 9 + far)
    apart = Doubt().fit(wrong, near * 9 + far, ["near"] * 90 + ["far"] * 10)
    share = np.array([[1.0, 0.0]])
    assert together.widening(share, 0.8, wrong)[0][0] < 0.1
    assert apart.widening(share, 0.8, wrong)[0][0] == pytest.approx(np.log(3))


def elementwise(op, side):
    shape = (1, 8, side, side)
    return Kernel(op, (), (), (shape,), (), (shape,))


@pytest.fixture(scope="module")
def many_kinds():
    """Forty operators of three sizes; each is dearer than its bytes by a factor of its own."""
    rng = np.random.default_rng(3)
    factors = np.exp(rng.normal(0, 1.5, 40))
    table = {
        elementwise(f"Op{i}", side).key: factor * 64e-6 * side**2
        for i, factor in enumerate(factors)
        for side in (16, 32, 64)
    }
    return KernelPrices().fit(table), factors


def test_a_roofline_is_doubted_by_what_rooflines_miss_of_kinds_left_out(many_kinds):
    prices, factors = many_kinds
    assert len(prices.kind_errors) == 40
    # The median of the others is the rate, and a kernel's least price is next to nothing here.
    expected = np.log(factors / np.median(factors))
    found = sorted(float(np.median(errors)) for errors in prices.kind_errors)
    assert np.allclose(found, sorted(expected), atol=0.15)
    doubt = Doubt().fit(prices, [])
    share = np.array([[0.0, 1.0]])
    below, above = doubt.widening(share, 0.9, prices)
    # Of 40 kinds the 37th largest, as the rank of a conformal bound has it.
    assert above[0] == pytest.approx(sorted(expected)[36], abs=0.2)
    assert below[0] == pytest.approx(-sorted(expected)[3], abs=0.2)


def test_a_roofline_of_a_tenth_of_the_sum_adds_its_own_error_and_no_more(many_kinds):
    prices, _ = many_kinds
    doubt = Doubt().fit(prices, [])
    whole, tenth = (doubt.widening(np.array([[0.0, s]]), 0.9, prices) for s in (1.0, 0.1))
    assert np.exp(tenth[1][0]) == pytest.approx(0.9 + 0.1 * np.exp(whole[1][0]))
    assert np.exp(-tenth[0][0]) == pytest.approx(0.9 + 0.1 * np.exp(-whole[0][0]))


def test_where_few_kinds_are_measured_a_roofline_is_doubted_by_thirty(prices):
    doubt = Doubt().fit(prices, [])
    below, above = doubt.widening(np.array([[0.0, 1.0]]), 0.95, prices)
    assert np.exp(above[0]) == pytest.approx(30) and np.exp(below[0]) == pytest.approx(30)
