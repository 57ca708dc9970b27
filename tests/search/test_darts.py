import numpy as np
import pytest
import torch

from hwnas.search.darts import ContinuousRelaxation, softmax_slopes
from hwnas.search.distribution import Distribution


def test_slopes_pass_a_softmax_as_in_autograd():
    logits = torch.randn(5, generator=torch.manual_seed(0)).double().requires_grad_()
    slopes = torch.randn(5, generator=torch.manual_seed(1)).double()
    p = torch.softmax(logits, 0)
    (expected,) = torch.autograd.grad(p, logits, grad_outputs=slopes)
    found = softmax_slopes(p.detach().numpy(), slopes.numpy())
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("order", "expected"), [(1, "mixed_gate_step"), (2, "unrolled_gate_step")])
def test_the_order_decides_which_weights_are_looked_at(predictor, mixture_model, order, expected):
    called = []

    class Watched(mixture_model):
        def mixed_gate_step(self, genotype, shares):
            called.append("mixed_gate_step")
            return mixture_model.mixed_gate_step(self, genotype, shares)

        def unrolled_gate_step(self, genotype, shares):
            called.append("unrolled_gate_step")
            return mixture_model.mixed_gate_step(self, genotype, shares)

    rule = ContinuousRelaxation(Watched(predictor.space), order=order)
    rule.slopes(Distribution(predictor.space), np.random.default_rng(0), 0.0)
    assert called == [expected]


def test_warming_up_trains_the_mixture_on_uniform_values_of_the_global_genes(
    predictor, mixture_model
):
    seen = []

    class Watched(mixture_model):
        def mixed_weight_step(self, genotype, shares):
            seen.append((genotype, shares))
            return 0.0

    own = Distribution(predictor.space)
    with torch.no_grad():
        own.logits[0][0] = 100.0
    rule, rng = ContinuousRelaxation(Watched(predictor.space)), np.random.default_rng(0)
    for warm in (True, False):
        seen.clear()
        for _ in range(40):
            rule.train(own, rng, warm=warm)
        # 40 uniform draws of the same value of three have a probability below 1e-18.
        assert (len({genotype[0] for genotype, _ in seen}) > 1) == warm
        assert all(np.array_equal(a, b) for a, b in zip(seen[0][1], own.probabilities(), strict=1))
