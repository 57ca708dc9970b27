"""From bursts to a quiet time: which rounds count, and how sure the number is."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hwnas.targets import Burst

QUIET_QUANTILE = 0.1

_TAIL = 0.025
_SPACED = 4


def accepted(bursts: Sequence[Burst], canary_ns: float, tolerance: float) -> list[Burst]:
    """The visits between two readings of the canary near its best.

    A burst with a time that is not positive is left out: the clock went back in it. Of a
    visit that is in several bursts, the one with the least time stands for all: a visit's
    least time is what counts.

    Args:
        bursts: Visits to one model.
        canary_ns: The canary's best reading.
        tolerance: How much slower a reading may be, as a share.
    """
    bound = canary_ns * (1 + tolerance)
    return visits(
        [
            b
            for b in bursts
            if max(b.canary_before_ns, b.canary_after_ns) <= bound
            and min(b.canary_before_ns, b.canary_after_ns, *b.samples_ns) > 0
        ]
    )


def visits(bursts: Sequence[Burst]) -> list[Burst]:
    """Of the bursts of each visit the one with the least time, in the order of the visits."""
    least: dict[object, Burst] = {}
    for position, burst in enumerate(bursts):
        visit = ("whole", position) if burst.visit is None else burst.visit
        held = least.get(visit)
        if held is None or min(burst.samples_ns) < min(held.samples_ns):
            least[visit] = burst
    return list(least.values())


def slowness(bursts: Sequence[Burst], canary_ns: float) -> list[float]:
    """How much slower than its best the canary was around each burst, as a factor.

    The mean of the two readings, which is right to first order where the speed
    changes steadily between them.

    Args:
        bursts: Visits to one model.
        canary_ns: The canary's best reading.
    """
    return [(b.canary_before_ns + b.canary_after_ns) / (2 * canary_ns) for b in bursts]


def quiet_time(
    minima: Sequence[float], slowness: Sequence[float] | None = None
) -> tuple[float, float, float]:
    """Low quantile of the burst minima, with a distribution-free 95 % interval.

    What is estimated is the quantile ``QUIET_QUANTILE`` of a burst's least time
    while the device is as fast as the canary has seen it. (The noiseless time
    below it cannot be had without assuming a distribution; with noise of 0.4 %
    the two differ by 0.01 %.)

    *Upper end.* An order statistic, by the binomial distribution of how many
    values lie below the quantile (David and Nagaraja, Order Statistics, 2003,
    section 7.1). Where values are independent but not alike, because the speed
    drifts, the number below is less dispersed than binomial (Hoeffding 1956), and
    slower rounds move this end up only.

    *Lower end.* The same, of the minima divided by the canary's slowness around
    them: as low as the number can be if the model slows down by no more than the
    canary does. With fewer than 36 values even the least lies above the quantile
    too often. Then the end lies below the least by what the gaps above it allow:
    spacings at the end of a distribution are exponential (Rényi 1953), so that
    for the first k values the least lies above the end of the distribution by
    more than ``c = 0.025^(-1/(k-1)) - 1`` times their range with a probability of
    2.5 %, if the density there is flat, and less if it falls (for k = 2: Robson and
    Whitlock 1964, Estimation of a truncation point). k is four. A single value
    has no lower end but 0.

    Args:
        minima: The least time of each accepted burst, any unit; at least one.
        slowness: For each, the canary's slowness around it, from
            :func:`slowness`; without it the device is taken not to drift.

    Returns:
        The quantile, and the lower and upper end, in the same unit.
    """
    values = np.sort(np.asarray(minima, dtype=float))
    count = len(values)
    point = float(values[int(QUIET_QUANTILE * count)])
    # At most `rank` values lie below the quantile with a probability of 97.5 %.
    rank = int(stats.binom.ppf(1 - _TAIL, count, QUIET_QUANTILE))
    high = float(values[min(rank, count - 1)])
    if slowness is not None:
        values = np.sort(np.asarray(minima, dtype=float) / np.asarray(slowness, dtype=float))
    return point, min(point, _lower_end(values)), high


def _lower_end(values: NDArray[np.float64]) -> float:
    """Below the quantile with a probability of 97.5 %; of sorted values."""
    count = len(values)
    # Fewer than this many values lie below the quantile with a probability under 2.5 %.
    rank = int(stats.binom.ppf(_TAIL, count, QUIET_QUANTILE))
    if rank > 0:
        return float(values[rank - 1])
    if count == 1:
        return 0.0
    spaced = min(_SPACED, count)
    factor = _TAIL ** (-1 / (spaced - 1)) - 1
    return max(0.0, float(values[0] - factor * (values[spaced - 1] - values[0])))


def precise(minima: Sequence[float], agreement: float, least: int) -> bool:
    """Whether the three least values agree within a share, with at least ``least`` seen."""
    if len(minima) < max(3, least):
        return False
    values = np.partition(np.asarray(minima, dtype=float), 2)[:3]
    return bool(values.max() <= values.min() * (1 + agreement))
