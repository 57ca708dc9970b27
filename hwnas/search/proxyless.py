"""ProxylessNAS: probabilities moved by binary gates between two values of a choice."""

import numpy as np
import torch

from hwnas.search.constraint import Genotype, rows
from hwnas.search.distribution import Distribution
from hwnas.search.rule import Slopes
from hwnas.search.shared_weights import PathModel


class BinaryGates:
    """ProxylessNAS's pairs (Cai et al., 2019, section 3.2).

    The weights train along one sampled path at a time. Two values of a choice,
    the path's and another, are compared by the derivatives of their binary gates.
    There the softmax is taken over the two alone and the others keep their
    probability. Here the difference is divided by the probability that this pair
    is compared, so that the expected step is that of the whole softmax,
    Σ_j p_i p_j (g_i − g_j), however many values a choice has: the latency's
    gradient is that of the whole softmax too, and the trade between both must not
    depend on the number of values.

    Args:
        model: The shared weights.
    """

    name = "gradient"

    def __init__(self, model: PathModel) -> None:
        self.model = model

    def train(self, own: Distribution, rng: np.random.Generator, *, warm: bool) -> float:
        """One step of the weights along a path; uniform while warming up."""
        return self.model.weight_step(own.path(rng, uniform=warm))

    def slopes(self, own: Distribution, rng: np.random.Generator, progress: float) -> Slopes:
        """The gradient by one pair of values of each choice that the path has."""
        path = own.path(rng)
        alternatives = self._alternatives(own, rng, path)
        loss, gates = self.model.gate_step(path, alternatives)
        gradients = [torch.zeros_like(item) for item in own.logits]
        for gene, (own_gate, other_gate) in gates.items():
            value, other = path[gene], alternatives[gene]
            p = torch.softmax(own.logits[gene].detach(), 0)
            slope = (own_gate - other_gate) * pair_weight(p, value, other)
            gradients[gene][value] += slope
            gradients[gene][other] -= slope
        return Slopes(loss, path, gradients)

    def _alternatives(
        self, own: Distribution, rng: np.random.Generator, path: Genotype
    ) -> dict[int, int]:
        active = own.space.active(rows([path]))[0]
        found = {}
        for gene, p in enumerate(own.probabilities()):
            if not active[gene] or gene in self.model.global_genes or len(p) < 2:
                continue
            others = p.copy()
            others[path[gene]] = 0.0
            others += 1e-6 * (np.arange(len(p)) != path[gene])
            found[gene] = int(rng.choice(len(p), p=others / others.sum()))
        return found


def pair_weight(p: torch.Tensor, own: int, other: int) -> float:
    """What a compared pair's difference is weighed with, so that the step is unbiased.

    The pair comes up with probability p_own·p_other·(1/(1 − p_own) + 1/(1 − p_other)),
    either of the two as the path's value, and its share in the gradient of the
    softmax is p_own·p_other.

    Args:
        p: Probabilities of a choice's values, ``(values,)``.
        own: The path's value.
        other: The value that it is compared with.
    """
    return 1 / float(1 / (1 - p[own]) + 1 / (1 - p[other]))
