"""From bursts to a quiet time: which rounds count, and how sure the number is."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from hwnas.targets import Burst

QUIET_QUANTILE = 0.1


def accepted(bursts: Sequence[Burst], canary_ns: float, tolerance: float) -> list[Burst]:
    """The bursts between two readings of the canary near its best.

    Args:
        bursts: Visits to one model.
        canary_ns: The canary's best reading.
        tolerance: How much slower a reading may be, as a share.
    """
    bound = canary_ns * (1 + tolerance)
    return [b for b in bursts if b.canary_before_ns <= bound and b.canary_after_ns <= bound]


def quiet_time(minima: Sequence[float]) -> tuple[float, float, float]:
    """Low quantile of the burst minima, with a distribution-free 95 % interval.

    The interval is between order statistics, by the binomial distribution of
    how many values lie below the quantile.

    Args:
        minima: The least time of each accepted burst, any unit.

    Returns:
        The quantile, and the lower and upper end, in the same unit.
    """
    values = np.sort(np.asarray(minima, dtype=float))
    count = len(values)
    # values[i] is at most the quantile exactly if more than i values are below it.
    low = max(0, int(stats.binom.ppf(0.025, count, QUIET_QUANTILE)) - 1)
    high = int(stats.binom.ppf(0.975, count, QUIET_QUANTILE))
    point = int(QUIET_QUANTILE * count)
    return (
        float(values[point]),
        float(values[min(low, count - 1)]),
        float(values[min(high, count - 1)]),
    )


def precise(minima: Sequence[float], agreement: float, least: int) -> bool:
    """Whether the three least values agree within a share, with at least ``least`` seen."""
    if len(minima) < max(3, least):
        return False
    values = np.partition(np.asarray(minima, dtype=float), 2)[:3]
    return bool(values.max() <= values.min() * (1 + agreement))
