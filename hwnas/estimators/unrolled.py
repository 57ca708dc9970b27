"""The second-order gradient of DARTS: through one step of the weights, by finite differences."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

PERTURBATION = 0.01


def unrolled_gradient(
    optimiser: torch.optim.SGD,
    shares: Sequence[Tensor],
    train_loss: Callable[[], Tensor],
    held_out_loss: Callable[[], Tensor],
) -> tuple[float, list[Tensor]]:
    """The held-out loss after a step of the weights, and its gradient by what both depend on.

    With w' = w − ξ·(momentum·m + ∇L_train + decay·w), the step that the optimiser would
    do next, the gradient by α is ∇_α L_val(w') − ξ·∇²_αw L_train·v, v = ∇_w' L_val. The
    product is (∇_α L_train(w + εv) − ∇_α L_train(w − εv)) / 2ε with ε = 0.01/‖v‖ (Liu et
    al., 2019, equations 7 and 8). Weights on which the training loss does not depend stay;
    all are put back at the end, to the last bit.

    Args:
        optimiser: Of the weights; its momenta and rates are read only.
        shares: α, leaves that require a gradient.
        train_loss: Loss of the weights and α on training images, computed anew in each call.
        held_out_loss: The same on held-out images.

    Returns:
        The loss at w', and one gradient per tensor of ``shares``.
    """
    (group,) = optimiser.param_groups
    weights: list[Tensor] = group["params"]
    rate, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
    kept = [value.detach().clone() for value in weights]
    try:
        steps = torch.autograd.grad(train_loss(), weights, allow_unused=True)
        with torch.no_grad():
            for value, step in zip(weights, steps, strict=True):
                if step is None:
                    continue
                step = step + decay * value
                before = optimiser.state[value].get("momentum_buffer")
                value -= rate * (step if before is None else step + momentum * before)
        del step, steps
        loss = held_out_loss()
        found = torch.autograd.grad(loss, [*shares, *weights], allow_unused=True)
        gradient = _filled(found[: len(shares)], shares)
        # A weight that the training loss does not see has no part in the product either.
        direction = found[len(shares) :]
        norm = math.sqrt(sum(float(v.square().sum()) for v in direction if v is not None))
        if norm > 0 and math.isfinite(norm):
            epsilon = PERTURBATION / norm
            for sign in (1, -1):
                with torch.no_grad():
                    for value, old, v in zip(weights, kept, direction, strict=True):
                        value.copy_(old if v is None else old + sign * epsilon * v)
                slopes = torch.autograd.grad(train_loss(), shares, allow_unused=True)
                for own, slope in zip(gradient, _filled(slopes, shares), strict=True):
                    own -= sign * rate / (2 * epsilon) * slope
    finally:
        with torch.no_grad():
            for value, old in zip(weights, kept, strict=True):
                value.copy_(old)
    return float(loss.item()), gradient


def _filled(slopes: Sequence[Tensor | None], like: Sequence[Tensor]) -> list[Tensor]:
    return [
        torch.zeros_like(own) if slope is None else slope
        for slope, own in zip(slopes, like, strict=True)
    ]
