"""The finite difference against a step that is unrolled with a graph of its own."""

import pytest
import torch

from hwnas.estimators.unrolled import unrolled_gradient

RATE, MOMENTUM, DECAY = 0.05, 0.9, 3e-2


def losses(seed):
    """A smooth network of two mixed paths, on training and on held-out data."""
    generator = torch.Generator().manual_seed(seed)
    train, held_out = (
        (torch.randn(12, 5, generator=generator).double(), torch.randn(12, generator=generator))
        for _ in range(2)
    )

    def loss(data, weights, shares):
        inputs, targets = data
        first, second, unused = weights
        mixed = shares[0][0] * torch.tanh(inputs @ first) + shares[0][1] * torch.sin(inputs @ first)
        mixed = shares[1][0] * mixed + shares[1][1] * torch.tanh(mixed)
        return ((mixed @ second).squeeze(1) - targets.double()).square().mean()

    return (lambda w, a: loss(train, w, a)), (lambda w, a: loss(held_out, w, a))


def parts(seed):
    generator = torch.Generator().manual_seed(100 + seed)
    weights = [
        torch.randn(shape, generator=generator).double().requires_grad_()
        for shape in ((5, 4), (4, 1), (3,))
    ]
    shares = [
        torch.softmax(torch.randn(2, generator=generator).double(), 0).requires_grad_()
        for _ in range(3)
    ]
    return weights, shares


def optimiser_of(weights, train, shares, steps):
    own = torch.optim.SGD(weights, lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    for _ in range(steps):
        own.zero_grad()
        train(weights, [share.detach() for share in shares]).backward()
        own.step()
    own.zero_grad()
    return own


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("steps", [0, 2])
def test_it_is_the_gradient_through_the_next_step_of_the_optimiser(seed, steps):
    train, held_out = losses(seed)
    weights, shares = parts(seed)
    optimiser = optimiser_of(weights, train, shares, steps)
    before = [value.detach().clone() for value in weights]
    loss, found = unrolled_gradient(
        optimiser, shares, lambda: train(weights, shares), lambda: held_out(weights, shares)
    )
    assert all(map(torch.equal, before, weights))
    assert all(value.grad is None for value in (*weights, *shares))

    slopes = torch.autograd.grad(train(weights, shares), weights, create_graph=True, allow_unused=1)
    moved = [
        value
        if slope is None
        else value
        - RATE
        * (
            slope
            + DECAY * value
            + MOMENTUM * optimiser.state[value].get("momentum_buffer", torch.zeros(()))
        )
        for value, slope in zip(weights, slopes, strict=True)
    ]
    exact_loss = held_out(moved, shares)
    exact = torch.autograd.grad(exact_loss, shares, retain_graph=True, allow_unused=True)
    assert loss == pytest.approx(exact_loss.item(), rel=1e-12)
    # The gradient that takes w' as given, without the term that is the point of it.
    fixed = [value.detach() for value in moved]
    first = torch.autograd.grad(held_out(fixed, shares), shares, allow_unused=True)
    for own, expected, partial in zip(found[:2], exact, first, strict=False):
        # The error of the difference is of the order of (0.01)².
        torch.testing.assert_close(own, expected, rtol=1e-3, atol=1e-5)
        assert float((expected - partial).abs().max()) > 1e-2
    assert torch.equal(found[2], torch.zeros(2, dtype=torch.float64))

    # What the optimiser does next is the step that was unrolled.
    train(weights, [share.detach() for share in shares]).backward()
    optimiser.step()
    for value, expected in zip(weights, moved, strict=True):
        torch.testing.assert_close(value.detach(), expected.detach(), rtol=1e-12, atol=1e-14)


def test_weights_are_put_back_where_it_is_interrupted():
    train, held_out = losses(0)
    weights, shares = parts(0)
    optimiser = optimiser_of(weights, train, shares, 1)
    before = [value.detach().clone() for value in weights]

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unrolled_gradient(optimiser, shares, lambda: train(weights, shares), interrupted)
    assert all(map(torch.equal, before, weights))


def test_a_held_out_loss_without_slope_has_no_second_term():
    train, _ = losses(0)
    weights, shares = parts(0)
    optimiser = optimiser_of(weights, train, shares, 1)
    loss, found = unrolled_gradient(
        optimiser,
        shares,
        lambda: train(weights, shares),
        lambda: shares[0].sum() + 0 * weights[0].sum(),
    )
    assert loss == pytest.approx(1)
    assert found[0].tolist() == [1, 1] and not found[1].any()
