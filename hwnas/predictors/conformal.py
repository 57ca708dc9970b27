"""Split-conformal bounds from errors on networks that were left out."""

import math

import numpy as np
from numpy.typing import NDArray

WIDENED = 1.25
"""Beyond the levels that the sample can tell, the largest error times this."""

ROUNDING = 1e-9

UNKNOWN = 0.25
"""Log error assumed where no network was measured at all."""


def highest_level(count: int) -> float:
    """The highest level of an interval that so many errors tell: (n - 1)/(n + 1), or 0.

    The largest of n exchangeable errors is above a fresh one with probability n/(n + 1), and
    the smallest below it; no wider interval has a level that they could tell.

    Args:
        count: Errors on left-out samples.
    """
    return max(0.0, (count - 1) / (count + 1))


def conformal_quantile(errors: NDArray[np.float64], level: float) -> float:
    """A bound that a fresh error stays below with probability ``level``.

    The ceil((n + 1)·level)-th smallest of n exchangeable errors (Vovk et al.,
    2005). Where n is too small for the level, the largest error in size,
    widened.

    Args:
        errors: Signed errors on left-out samples.
        level: Between 0 and 1.
    """
    count = len(errors)
    if count < 5:
        return UNKNOWN if level >= 0.5 else -UNKNOWN
    # The products of the highest level are whole numbers but for rounding.
    rank = math.ceil((count + 1) * level - ROUNDING)
    if rank > count:
        return WIDENED * float(np.abs(errors).max())
    if rank < 1:
        return -WIDENED * float(np.abs(errors).max())
    return float(np.sort(errors)[rank - 1])


def conformal_interval(errors: NDArray[np.float64], level: float) -> tuple[float, float]:
    """Lower and upper bound that together hold a fresh error with probability ``level``."""
    upper = conformal_quantile(errors, (1 + level) / 2)
    lower = -conformal_quantile(-errors, (1 + level) / 2)
    return min(lower, 0.0), max(upper, 0.0)
