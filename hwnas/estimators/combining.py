"""Estimators put together: the mean rank of several in a pool, and what it costs."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from hwnas.errors import RequestError
from hwnas.estimators.ranking import Floats
from hwnas.estimators.zero_shot import mean_rank

SEPARATOR = "+"
"""Between the parts of a combination: ``naswot+synflow``."""


def parts_of(name: str) -> tuple[str, ...]:
    """The estimators that a name stands for: one, or several of which the ranks are averaged.

    Raises:
        RequestError: A part is empty or stands twice.
    """
    parts = tuple(part.strip() for part in name.split(SEPARATOR))
    if "" in parts or len(set(parts)) < len(parts):
        raise RequestError(
            f"a combination is names with '{SEPARATOR}' between, each once, such as "
            f"naswot{SEPARATOR}synflow; received '{name}'"
        )
    return parts


class Columns:
    """Values of estimators on the same architectures, and their cost.

    What several columns need is paid for once in each: a combination of a learned
    predictor with a score that the predictor is shown costs that score once.

    Args:
        values: By estimator, its values ``(n,)``, higher is better.
        seconds: By estimator, mean time of an estimate.

    Attributes:
        values: By estimator, those that were added included.
    """

    def __init__(self, values: Mapping[str, Floats], seconds: Mapping[str, float]) -> None:
        self.values: dict[str, Floats] = dict(values)
        self._own_s = {name: seconds[name] for name in values}
        self._needs = {name: frozenset({name}) for name in values}

    def add(self, name: str, values: ArrayLike, of: Iterable[str], own_s: float) -> None:
        """Add a column that is made of others.

        Args:
            name: Its name.
            values: ``(n,)``, higher is better.
            of: The columns that it is made of.
            own_s: What it costs per architecture besides these, seconds.
        """
        self._needs[name] = frozenset({name}).union(*(self._needs[part] for part in of))
        self._own_s[name] = own_s
        self.values[name] = np.asarray(values, dtype=float)

    def combine(self, name: str) -> None:
        """Add the mean rank of the parts that a name lists, see :func:`parts_of`.

        Ranks are among the architectures of the columns; what is not finite ranks lowest.
        Averaging them costs nothing beside the parts.
        """
        parts = parts_of(name)
        self.add(name, mean_rank([self.values[part].tolist() for part in parts]), parts, 0.0)

    @property
    def seconds(self) -> dict[str, float]:
        """By estimator, the time of an estimate with all that it is made of."""
        return {
            name: sum(self._own_s[part] for part in sorted(needs))
            for name, needs in self._needs.items()
        }
