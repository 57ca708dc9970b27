"""How good predictions are: error, closeness, and rank."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of predicted latencies.

    Args:
        count: Networks compared.
        mape_pct: Mean absolute error, per cent of what was measured.
        within_5_pct: Networks within 5 %, per cent.
        within_10_pct: Networks within 10 %, per cent.
        spearman: Rank correlation.
        kendall: Rank correlation, tau-b.
    """

    count: int
    mape_pct: float
    within_5_pct: float
    within_10_pct: float
    spearman: float
    kendall: float

    def to_json(self) -> dict[str, float]:
        """Plain values, rounded."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def accuracy(predicted_ms: ArrayLike, measured_ms: ArrayLike) -> Accuracy:
    """Compare predictions with measurements, both ``(n,)`` in milliseconds, n at least 2."""
    predicted = np.asarray(predicted_ms, dtype=float)
    measured = np.asarray(measured_ms, dtype=float)
    error = 100 * np.abs(predicted / measured - 1)
    constant = np.ptp(predicted) == 0 or np.ptp(measured) == 0
    return Accuracy(
        count=len(measured),
        mape_pct=float(error.mean()),
        within_5_pct=float(100 * (error <= 5).mean()),
        within_10_pct=float(100 * (error <= 10).mean()),
        spearman=0.0 if constant else float(stats.spearmanr(predicted, measured).statistic),
        kendall=0.0 if constant else float(stats.kendalltau(predicted, measured).statistic),
    )
