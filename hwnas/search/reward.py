"""What a policy is rewarded with: accuracy under the limit, on a scale of its own."""

import math
from typing import Any

import numpy as np

from hwnas.search.constraint import Floats

DEPTH = 3.0
"""Spreads below the mean accuracy at which an accuracy is worth nothing."""


class RunningMean:
    """A moving average whose first values count in full (the bias correction of Adam).

    Args:
        decay: Weight of what was, per value.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.count = 0
        self.mean = 0.0
        self.variance = 0.0

    def add(self, value: float) -> None:
        """Take a value in."""
        self.count += 1
        share = (1 - self.decay) / (1 - self.decay**self.count)
        change = value - self.mean
        # The first share is 1, so that the first value is the mean, and nothing varies, exactly.
        self.mean = value if self.count == 1 else self.mean + share * change
        self.variance = (
            0.0 if self.count == 1 else (1 - share) * (self.variance + share * change**2)
        )

    def state_dict(self) -> list[float]:
        """Count, mean and variance."""
        return [self.count, self.mean, self.variance]

    def load_state_dict(self, state: list[float]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.count, self.mean, self.variance = int(state[0]), float(state[1]), float(state[2])


class Reward:
    """MnasNet's reward, acc·(T / latency)^w over the limit (Tan et al., 2019), and its baseline.

    Two things are added. *A scale*: the product means something only where accuracies have a zero
    that means failure. Here they may be in percent, negative losses or bunched above 90, so
    an accuracy counts in spreads (moving standard deviations) above the point
    :data:`DEPTH` of them below the moving mean; what lies further down, and what diverged, is
    worth 0. So no setting depends on the unit. *The unknown*: what is over the limit is never
    judged. Its accuracy is taken to be the moving mean, its expectation for want of any other
    knowledge, so it is worth DEPTH·(T / latency)^w, less than what is judged is on average.
    This tells nothing about accuracy and pushes the policy within the limit; the price is
    that a choice that is both slow and accurate is not told from one that is only slow.

    Args:
        decay: Of the moving averages: accuracy's and the baseline's.
        exponent: w, how steeply excess is punished.
    """

    def __init__(self, decay: float, exponent: float) -> None:
        self.exponent = exponent
        self.accuracy = RunningMean(decay)
        self.baseline = RunningMean(decay)

    def judged(self, value: float) -> None:
        """Take in the accuracy of a training; NaN moves no mean."""
        if math.isfinite(value):
            self.accuracy.add(value)

    def __call__(self, values: Floats, excess: Floats) -> Floats:
        """Rewards ``(n,)``, in spreads of the accuracy.

        Args:
            values: Accuracies ``(n,)``: NaN what failed, ∞ what is unknown.
            excess: Upper bounds of the latency as multiples of the limit, ``(n,)``.
        """
        spread = math.sqrt(self.accuracy.variance)
        known = np.isfinite(values)
        away = np.where(known, values, self.accuracy.mean) - self.accuracy.mean
        above = np.maximum(DEPTH + (away / spread if spread > 0 else 0.0 * away), 0.0)
        factor: Floats = np.maximum(excess, 1.0) ** -self.exponent
        rewards: Floats = np.where(np.isnan(values), 0.0, above * factor)
        return rewards

    def advantage(self, rewards: Floats) -> Floats:
        """Rewards above the baseline of those before, which then takes them in."""
        # Before there is a baseline they are compared with each other.
        base = self.baseline.mean if self.baseline.count else float(rewards.mean())
        above: Floats = rewards - base
        for own in rewards:
            self.baseline.add(float(own))
        return above

    def state_dict(self) -> dict[str, Any]:
        """The moving averages."""
        return {"accuracy": self.accuracy.state_dict(), "baseline": self.baseline.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.accuracy.load_state_dict(state["accuracy"])
        self.baseline.load_state_dict(state["baseline"])
