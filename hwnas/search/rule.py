"""What moves the probabilities of a relaxation: a rule, by the gradient of the held-out loss."""

from typing import NamedTuple, Protocol

import numpy as np
import torch

from hwnas.search.constraint import Genotype
from hwnas.search.distribution import Distribution
from hwnas.search.shared_weights import SharedWeights


class Slopes(NamedTuple):
    """What one look at the held-out loss tells.

    Args:
        loss: The loss.
        path: A canonical genotype; the global genes were run at its values.
        gradients: By the logits of each choice; zeros where the rule cannot tell.
    """

    loss: float
    path: Genotype
    gradients: list[torch.Tensor]


class Rule(Protocol):
    """Trains shared weights and estimates how the held-out loss changes with the logits."""

    name: str

    @property
    def model(self) -> SharedWeights:
        """The shared weights."""
        ...

    def train(self, own: Distribution, rng: np.random.Generator, *, warm: bool) -> float:
        """One step of the weights; the training loss.

        Args:
            own: The probabilities.
            rng: Source of randomness.
            warm: The probabilities do not move yet: train all values alike.

        Raises:
            DivergedError: The loss is not finite.
        """
        ...

    def slopes(self, own: Distribution, rng: np.random.Generator, progress: float) -> Slopes:
        """The gradient of the held-out loss by the logits of all choices that are not global.

        Args:
            own: The probabilities.
            rng: Source of randomness.
            progress: How much of the search is done, from 0 to 1, without the warm-up.
        """
        ...
