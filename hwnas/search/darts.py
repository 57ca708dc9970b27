"""DARTS: all values of the choices at once, weighed by their probabilities."""

import numpy as np
import torch

from hwnas.search.constraint import Floats
from hwnas.search.distribution import Distribution
from hwnas.search.rule import Slopes
from hwnas.search.shared_weights import MixtureModel


class ContinuousRelaxation:
    """DARTS (Liu et al., 2019, section 2.3): gradients through the weighted sum of all blocks.

    A slot gives the sum of its blocks, each weighed by the product of its genes'
    probabilities, and both weights and probabilities are trained through it. Global
    genes have outputs that cannot be added: they are drawn anew in each step.

    Args:
        model: The shared weights.
        order: 1 takes the weights as they are; 2 as they would be after another
            step, which depends on the probabilities.
    """

    def __init__(self, model: MixtureModel, *, order: int = 1) -> None:
        self.model = model
        self.order = order
        self.name = "darts" if order == 1 else "darts2"

    def train(self, own: Distribution, rng: np.random.Generator, *, warm: bool) -> float:
        """One step of the weights of all blocks."""
        return self.model.mixed_weight_step(own.path(rng, uniform=warm), own.probabilities())

    def slopes(self, own: Distribution, rng: np.random.Generator, progress: float) -> Slopes:
        """The gradient through the mixture, by every value of every choice."""
        path = own.path(rng)
        shares = own.probabilities()
        step = self.model.mixed_gate_step if self.order == 1 else self.model.unrolled_gate_step
        loss, found = step(path, shares)
        gradients = [
            torch.zeros_like(logits)
            if gene in self.model.global_genes
            else softmax_slopes(shares[gene], found[gene])
            for gene, logits in enumerate(own.logits)
        ]
        return Slopes(loss, path, gradients)


def softmax_slopes(p: Floats, slopes: Floats) -> torch.Tensor:
    """Derivatives by the logits of a softmax, from those by its probabilities.

    Args:
        p: The probabilities, ``(values,)``.
        slopes: Derivatives by them, ``(values,)``.
    """
    return torch.from_numpy(p * (slopes - p @ slopes))
