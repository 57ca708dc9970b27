"""The dual variable that holds an expected latency to its limit."""

import math
from collections.abc import Mapping
from typing import Any

RATE = 0.08
DAMPING = 1.0
DECAY = 0.95
LARGEST_EXCESS = 0.5


class Dual:
    """λ of the objective loss + λ·(latency/limit − 1), in the loss's units.

    Dual ascent: λ rises while the latency is above its limit and falls while it
    is below, never under 0. A term proportional to the excess damps the
    oscillation that ascent alone has (Platt and Barr, 1988, "Constrained
    differential optimization"; with the integral it makes the proportional and
    integral terms of Stooke et al., 2020). Two departures make it work without
    tuning. The excess is log(latency/limit), which has the sign of
    latency/limit − 1 but treats half and twice the limit alike, and is clipped.
    λ is counted in units of the ratio of both gradients' norms, each a moving
    root mean square, so that neither the loss's scale nor the device's speed
    matters.
    """

    def __init__(self) -> None:
        self.level = 0.0
        self._loss_square = 0.0
        self._latency_square = 0.0

    def step(self, ratio: float, loss_norm: float, latency_norm: float) -> float:
        """Move λ, and return it for this step.

        Args:
            ratio: Expected latency over its limit.
            loss_norm: Norm of the loss's gradient.
            latency_norm: Norm of the gradient of ``ratio``.
        """
        self._loss_square = DECAY * self._loss_square + (1 - DECAY) * loss_norm**2
        self._latency_square = DECAY * self._latency_square + (1 - DECAY) * latency_norm**2
        # A sampled expectation may come out at 0 or below: that is as slack as it gets.
        excess = math.log(ratio) if ratio > 0 else -LARGEST_EXCESS
        excess = max(-LARGEST_EXCESS, min(LARGEST_EXCESS, excess))
        self.level = max(0.0, self.level + RATE * excess)
        if self._latency_square == 0.0:
            return 0.0
        unit = math.sqrt(self._loss_square / self._latency_square)
        return max(0.0, self.level + DAMPING * excess) * unit

    def state_dict(self) -> dict[str, Any]:
        """The variable and both scales, as JSON."""
        return {
            "level": self.level,
            "loss_square": self._loss_square,
            "latency_square": self._latency_square,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.level = float(state["level"])
        self._loss_square = float(state["loss_square"])
        self._latency_square = float(state["latency_square"])
