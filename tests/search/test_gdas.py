"""GDAS against torch's autograd through a straight-through softmax."""

import numpy as np
import pytest
import torch

from hwnas.search.distribution import Distribution
from hwnas.search.gdas import GumbelSoftmax, temperature


def test_the_temperature_falls_linearly():
    assert [temperature(p) for p in (0, 0.5, 1)] == pytest.approx([10, 5.05, 0.1])
    assert temperature(-1) == 10 and temperature(2) == pytest.approx(0.1)


def test_a_search_cools_from_the_end_of_its_warm_up_on(search, predictor, mixture_model):
    seen = []

    class Watched(GumbelSoftmax):
        def slopes(self, own, rng, progress):
            seen.append(temperature(progress))
            return super().slopes(own, rng, progress)

    own = search(
        predictor, 0.3, rule=Watched, model=mixture_model(predictor.space), steps=100, warmup=0.2
    )
    own.ask(1)
    np.testing.assert_allclose(seen, np.linspace(10, 0.1, 81)[:-1], atol=1e-9)


def logits_of(space, seed):
    own = Distribution(space)
    with torch.no_grad():
        for logits in own.logits:
            logits.copy_(torch.randn(len(logits), generator=torch.manual_seed(seed)))
    return own


@pytest.mark.parametrize("progress", [0.0, 0.6, 1.0])
def test_the_gradient_is_that_of_the_straight_through_sample(predictor, mixture_model, progress):
    own = logits_of(predictor.space, 1)
    model = mixture_model(predictor.space)
    found = GumbelSoftmax(model).slopes(own, np.random.default_rng(4), progress)

    rng = np.random.default_rng(4)
    shares, drawn = [], []
    for logits in own.logits:
        noisy = logits + torch.from_numpy(rng.gumbel(size=len(logits)))
        soft = torch.softmax(noisy / temperature(progress), 0)
        drawn.append(int(noisy.argmax()))
        hard = torch.eye(len(logits), dtype=torch.float64)[drawn[-1]]
        shares.append(hard + soft - soft.detach())
    loss = 0.0
    for gene, (losses, share) in enumerate(zip(model.losses, shares, strict=True)):
        if gene in model.global_genes:
            loss = loss + float(losses[drawn[gene]])
        else:
            # Only what was drawn is run, so only its share is in the graph.
            loss = loss + losses[drawn[gene]] * share[drawn[gene]]
    loss = loss / len(shares)
    own_space = predictor.space
    assert found.path == tuple(own_space.canonical(np.array([drawn]))[0])
    assert found.loss == pytest.approx(loss.item())
    expected = torch.autograd.grad(loss, own.logits, allow_unused=True)
    for gene, (one, other) in enumerate(zip(found.gradients, expected, strict=True)):
        assert (other is None) == (gene in model.global_genes)
        torch.testing.assert_close(one, torch.zeros_like(one) if other is None else other)


def test_paths_come_with_their_probabilities(predictor, mixture_model):
    own = logits_of(predictor.space, 2)
    rule, rng = GumbelSoftmax(mixture_model(predictor.space)), np.random.default_rng(0)
    count, gene = 4000, 0
    drawn = np.array([rule.slopes(own, rng, 0.5).path[gene] for _ in range(count)])
    p = own.probabilities()[gene]
    shares = np.bincount(drawn, minlength=len(p)) / count
    # Four and a half standard deviations: fails by chance once in 50,000 runs.
    assert (abs(shares - p) < 4.5 * np.sqrt(p * (1 - p) / count)).all()
