"""Independent probabilities of the choices' values: what a relaxation moves."""

import numpy as np
import torch

from hwnas.search.constraint import Floats, Genotype, genes
from hwnas.spaces.space import Genotypes, SearchSpace


class Distribution:
    """One softmax over the values of each choice.

    Args:
        space: The choices; all values start equally likely.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.logits = [
            torch.zeros(len(choice.values), dtype=torch.float64, requires_grad=True)
            for choice in space.choices
        ]

    def probabilities(self) -> list[Floats]:
        """Probability of each value of each choice."""
        return [torch.softmax(item.detach(), 0).numpy() for item in self.logits]

    def draw(self, rng: np.random.Generator, count: int) -> Genotypes:
        """Independent draws of every choice, ``(count, choices)``, also of those switched off."""
        columns = [rng.choice(len(p), size=count, p=p / p.sum()) for p in self.probabilities()]
        return np.stack(columns, axis=1).astype(np.int64)

    def sample(self, rng: np.random.Generator, count: int) -> Genotypes:
        """Canonical genotypes drawn from the probabilities, ``(count, choices)``."""
        return self.space.canonical(self.draw(rng, count))

    def path(self, rng: np.random.Generator, *, uniform: bool = False) -> Genotype:
        """One genotype from the probabilities, or uniform over each choice."""
        if uniform:
            return genes(self.space.sample(rng, 1, over="choices")[0])
        return genes(self.sample(rng, 1)[0])
