"""REINFORCE with independent probabilities for every choice."""

import numpy as np

from hwnas.search.adam import Parameters
from hwnas.search.constraint import Floats, LatencyConstraint
from hwnas.search.policy_search import PolicySearch
from hwnas.spaces.space import Genotypes, SearchSpace


class CategoricalPolicy:
    """A softmax over the values of each choice, independent of the others; uniform at first.

    Args:
        space: The space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._real = np.arange(space.cardinalities.max()) < space.cardinalities[:, None]
        self.parameters: Parameters = {"logits": np.zeros(self._real.shape)}

    def probabilities(self) -> Floats:
        """Of each value of each choice, ``(choices, most values)``; 0 beyond a choice's last."""
        logits = np.where(self._real, self.parameters["logits"], -np.inf)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        found: Floats = weights / weights.sum(axis=1, keepdims=True)
        return found

    def sample(self, rng: np.random.Generator, count: int) -> Genotypes:
        """Canonical genotypes ``(count, choices)``."""
        below = self.probabilities().cumsum(axis=1)
        drawn = rng.random((count, self.space.length))
        found = (drawn[:, :, None] >= below[None]).sum(axis=2)
        # Rounding may leave the last sum below 1.
        return self.space.canonical(np.minimum(found, self.space.cardinalities - 1))

    def gradient(self, genotypes: Genotypes, weights: Floats, entropy: float) -> Parameters:
        """Gradient of Σ weights·log p(genotype) + entropy·Σ H; see the protocol."""
        p = self.probabilities()
        active = self.space.active(genotypes)
        logs = np.log(np.where(p > 0, p, 1.0))
        spread = -p * (logs - (p * logs).sum(axis=1, keepdims=True))
        chosen = genotypes[:, :, None] == np.arange(p.shape[1])
        score = ((weights[:, None] * active)[:, :, None] * (chosen - p)).sum(axis=0)
        return {"logits": score + entropy * active.sum(axis=0)[:, None] * spread}


class Reinforce(PolicySearch):
    """Policy gradient over independent choices, as TuNAS has it (Bender et al., 2020).

    The simplest policy: a table of logits. It cannot say that one choice goes with another,
    and needs few trials for what it can say. Drawing, rewards and learning are those of
    :class:`hwnas.search.policy_search.PolicySearch`. TuNAS trains shared weights
    beside the policy for ten thousands of steps; here each reward is an architecture that was
    judged, so the learning rate is larger.

    Args:
        space: Where to search.
        constraint: The limit.
        seed: Seed of everything random.
        rate: Learning rate of Adam.
        decay: Of the moving averages of accuracy and reward.
        entropy: Weight of the entropy bonus, in spreads of the accuracy per nat.
        exponent: How steeply excess over the limit is punished.

    Raises:
        RequestError: A setting is out of range.
    """

    name = "reinforce"

    def __init__(
        self,
        space: SearchSpace,
        constraint: LatencyConstraint,
        seed: int,
        *,
        rate: float = 0.1,
        decay: float = 0.9,
        entropy: float = 0.1,
        exponent: float = 0.07,
    ) -> None:
        super().__init__(
            space,
            constraint,
            seed,
            policy=CategoricalPolicy(space),
            rate=rate,
            decay=decay,
            entropy=entropy,
            exponent=exponent,
        )
