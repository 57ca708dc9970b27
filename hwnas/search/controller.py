"""REINFORCE with a recurrent controller."""

import numpy as np

from hwnas.errors import RequestError
from hwnas.search.constraint import LatencyConstraint
from hwnas.search.lstm import LstmPolicy
from hwnas.search.policy_search import PolicySearch
from hwnas.spaces.space import SearchSpace


class Controller(PolicySearch):
    """An LSTM emits one choice after the other (Zoph and Le, 2017; Pham et al., 2018).

    Each choice depends on those before, so it can learn which go together. Drawing, rewards
    and learning are those of :class:`hwnas.search.policy_search.PolicySearch`. Zoph and Le have
    two layers of 35 units and 12,800 trainings, ENAS one layer of 100 and shared weights;
    some hundred trials fill no such network, and this one is small.

    Args:
        space: Where to search.
        constraint: The limit.
        seed: Seed of everything random.
        units: Size of the controller's state.
        rate: Learning rate of Adam.
        decay: Of the moving averages of accuracy and reward.
        entropy: Weight of the entropy bonus, in spreads of the accuracy per nat.
        exponent: How steeply excess over the limit is punished.

    Raises:
        RequestError: A setting is out of range.
    """

    name = "controller"

    def __init__(
        self,
        space: SearchSpace,
        constraint: LatencyConstraint,
        seed: int,
        *,
        units: int = 16,
        rate: float = 0.01,
        decay: float = 0.9,
        entropy: float = 0.1,
        exponent: float = 0.07,
    ) -> None:
        if units < 1:
            raise RequestError(f"units must be at least 1, received {units}")
        super().__init__(
            space,
            constraint,
            seed,
            policy=LstmPolicy(space, np.random.default_rng((seed, 1)), units),
            rate=rate,
            decay=decay,
            entropy=entropy,
            exponent=exponent,
        )
