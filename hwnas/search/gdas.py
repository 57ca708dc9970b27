"""GDAS: one sampled value of each choice, with the gradient of a Gumbel softmax."""

import numpy as np
import torch

from hwnas.search.constraint import genes, rows
from hwnas.search.darts import softmax_slopes
from hwnas.search.distribution import Distribution
from hwnas.search.rule import Slopes
from hwnas.search.shared_weights import MixtureModel

HOT, COLD = 10.0, 0.1
"""Temperatures at the start and at the end."""


def temperature(progress: float) -> float:
    """The temperature when a share of the search is done, linear from ``HOT`` to ``COLD``."""
    return HOT + (COLD - HOT) * min(1.0, max(0.0, progress))


class GumbelSoftmax:
    """GDAS (Dong and Yang, 2019, section 3.2): hard Gumbel softmax, straight through.

    Gumbel noise is added to the logits. The likeliest values are the path, an exact
    draw from the probabilities, and only its blocks are run, with shares of 1 and 0;
    backwards the shares count as the softmax at a temperature.

    Args:
        model: The shared weights.
    """

    name = "gdas"

    def __init__(self, model: MixtureModel) -> None:
        self.model = model

    def train(self, own: Distribution, rng: np.random.Generator, *, warm: bool) -> float:
        """One step of the weights along a path; uniform while warming up."""
        return self.model.weight_step(own.path(rng, uniform=warm))

    def slopes(self, own: Distribution, rng: np.random.Generator, progress: float) -> Slopes:
        """The straight-through gradient of one draw."""
        noisy = [item.detach().numpy() + rng.gumbel(size=len(item)) for item in own.logits]
        drawn = [int(item.argmax()) for item in noisy]
        hard = [np.eye(len(item))[value] for item, value in zip(noisy, drawn, strict=True)]
        loss, found = self.model.mixed_gate_step(drawn, hard)
        heat = temperature(progress)
        gradients = []
        for gene, item in enumerate(noisy):
            if gene in self.model.global_genes:
                gradients.append(torch.zeros_like(own.logits[gene]))
                continue
            soft = torch.softmax(torch.from_numpy(item / heat), 0).numpy()
            gradients.append(softmax_slopes(soft, found[gene]) / heat)
        path = genes(own.space.canonical(rows([tuple(drawn)]))[0])
        return Slopes(loss, path, gradients)
