"""What searches by policy gradient share: drawing, rewards, one step after the other."""

import math
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from hwnas.errors import RequestError
from hwnas.search.adam import Adam, Parameters
from hwnas.search.constraint import Floats, Genotype, LatencyConstraint, genes, rows
from hwnas.search.reward import Reward
from hwnas.search.strategy import Proposer
from hwnas.spaces.space import Genotypes, SearchSpace

DRAWS = 4
"""Drawn at a time for each that is asked for, so that a policy is moved once for many that are
over the limit, and not further by these than by what is judged."""
DRAWN = 10
"""Rounds of drawing after which a policy that proposes nothing new is helped."""
UNKNOWN = math.inf
"""Stands for the accuracy of what is not judged."""


class Policy(Protocol):
    """A distribution over the genotypes of a space."""

    parameters: Parameters
    """What it is made of; moved in place."""

    def sample(self, rng: np.random.Generator, count: int) -> Genotypes:
        """Canonical genotypes ``(count, choices)``."""
        ...

    def gradient(self, genotypes: Genotypes, weights: Floats, entropy: float) -> Parameters:
        """Gradient of Σ weights·log p(genotype) + entropy·Σ H, by the names of the parameters.

        Choices that do not count in a genotype have no part in either: their value is
        not the policy's doing.

        Args:
            genotypes: ``(n, choices)``, canonical.
            weights: ``(n,)``.
            entropy: Weight of H, the sum of the entropies of the choices that count along a
                genotype, nats.
        """
        ...


class PolicySearch(Proposer):
    """REINFORCE (Williams, 1992) over architectures, under the limit.

    The policy is asked until enough of what it draws is feasible and new. Draws that are
    not proposed teach it as well, since a policy that is trained only on what it never
    tried before is trained on a selection: what was judged before by the accuracy that is known
    (no training is repeated), and what is over the limit at once, without an accuracy, by
    :class:`hwnas.search.reward.Reward`. What is new teaches when its accuracy is told; what is new
    beyond the number that was asked for is dropped. A policy that keeps drawing what it knows meets
    no advantage any more, and the entropy bonus spreads it again. After :data:`DRAWN` rounds
    what it drew last is repaired to be feasible, and then random architectures fill up.

    What others proposed is learned from as if the policy had drawn it.

    Args:
        space: Where to search.
        constraint: The limit; its upper bound is the latency of the reward.
        seed: Seed of everything random.
        policy: Draws genotypes.
        rate: Learning rate of Adam.
        decay: Of the moving averages of accuracy and reward.
        entropy: Weight of the entropy bonus, in spreads of the accuracy per nat.
        exponent: w of the reward.

    Raises:
        RequestError: A setting is out of range.
    """

    def __init__(
        self,
        space: SearchSpace,
        constraint: LatencyConstraint,
        seed: int,
        *,
        policy: Policy,
        rate: float,
        decay: float,
        entropy: float,
        exponent: float,
    ) -> None:
        super().__init__(space, constraint, seed)
        if not rate > 0 or not math.isfinite(rate):
            raise RequestError(f"rate must be a positive number, received {rate}")
        if not 0 <= decay < 1:
            raise RequestError(f"decay must be from 0 to below 1, received {decay}")
        for name, value in (("entropy", entropy), ("exponent", exponent)):
            if not 0 <= value < math.inf:
                raise RequestError(f"{name} must be 0 or a positive number, received {value}")
        self.policy = policy
        self.entropy = entropy
        self.reward = Reward(decay, exponent)
        self.told: dict[Genotype, float] = {}
        self._adam = Adam(policy.parameters, rate)

    def ask(self, count: int) -> list[Genotype]:
        """Up to ``count`` feasible genotypes that are new, drawn from the policy."""
        found: list[Genotype] = []
        drawn = np.zeros((0, self.space.length), np.int64)
        for _ in range(DRAWN):
            if len(found) >= count:
                return found
            drawn = self.policy.sample(self.rng, DRAWS * (count - len(found)))
            self.fresh(drawn[self.space.allowed(drawn)], count, found)
            self._learn(drawn)
        repaired = [self.constraint.repair(self.space, genes(row)) for row in drawn]
        near = [item for item in repaired if item is not None]
        if near:
            self.fresh(rows(near), count, found)
        return self.fill(count, found)

    def tell(self, genotype: Genotype, value: float) -> None:
        """A step by the accuracy of a genotype; NaN is worth as little as anything can be."""
        self.proposed.add(genotype)
        self.told[genotype] = float(value) if math.isfinite(value) else math.nan
        self.reward.judged(value)
        self._learn(rows([genotype]))

    def _learn(self, genotypes: Genotypes) -> None:
        """One step by those of the genotypes of which something is known."""
        excess = self.constraint.upper_ms(genotypes) / self.constraint.limit_ms
        excess = np.where(self.space.allowed(genotypes), excess, math.inf)
        values = np.array([self.told.get(tuple(row), UNKNOWN) for row in genotypes.tolist()])
        learned = (values != UNKNOWN) | (excess > 1)
        if not learned.any():
            return
        above = self.reward.advantage(self.reward(values[learned], excess[learned]))
        count = len(above)
        self._adam.step(
            self.policy.gradient(genotypes[learned], above / count, self.entropy / count)
        )

    def state_dict(self) -> dict[str, Any]:
        """Generator, policy and moving averages; accuracies come back by :meth:`recall`."""
        return {
            **super().state_dict(),
            "adam": self._adam.state_dict(),
            "reward": self.reward.state_dict(),
        }

    def recall(self, told: Iterable[tuple[Genotype, float]]) -> None:
        """All that was told by the state's time."""
        self.told = {
            genotype: float(value) if math.isfinite(value) else math.nan for genotype, value in told
        }

    def load_state_dict(self, state: dict[str, Any], proposed: Iterable[Genotype]) -> None:
        """Go on from what :meth:`state_dict` gave, after all that was proposed."""
        super().load_state_dict(state, proposed)
        self._adam.load_state_dict(state["adam"])
        self.reward.load_state_dict(state["reward"])
