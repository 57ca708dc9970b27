"""How many more samples an error needs to fall to a target: a power law through two errors."""

import numpy as np

from hwnas.predictors.checks import number, whole_number

MOST_TIMES = 100
"""A learning curve is not followed beyond so many times the samples that there are."""

TYPICAL_POWER = 0.35
LEAST_POWER, MOST_POWER = 0.1, 1.0


def more_samples(
    count: int, error_pct: float, halved_pct: float | None, target_pct: float
) -> int | None:
    """How many more samples a power law through two errors needs for a target.

    Args:
        count: Samples that there are.
        error_pct: Their cross-validated error.
        halved_pct: That of half of them; without it a typical power is taken.
        target_pct: The error wanted.

    Returns:
        ``None`` where the error is low enough.

    Raises:
        SpecError: A value is no number, or there are no samples.
    """
    whole_number("count", count, least=1)
    if number("error_pct", error_pct) <= number("target_pct", target_pct):
        return None
    if target_pct <= 0:
        return MOST_TIMES * count
    power = TYPICAL_POWER
    if halved_pct is not None:
        halved = number("halved_pct", halved_pct)
        # Half the samples without any error: nothing that more of them could bring.
        power = float(np.log2(halved / error_pct)) if halved > 0 else LEAST_POWER
        power = float(np.clip(power, LEAST_POWER, MOST_POWER))
    times = min(float(MOST_TIMES), np.exp(np.log(error_pct / target_pct) / power))
    return max(1, int(np.ceil(count * times)) - count)
