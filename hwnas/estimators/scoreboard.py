"""The scoreboard: estimators of accuracy on the same architectures, against trained accuracy."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hwnas.errors import SpecError
from hwnas.estimators.ranking import Floats, RankStatistics, rank_statistics
from hwnas.estimators.resampling import STATISTICS, Resampling, interval

BASELINE = "macs"
"""What every estimator must beat to be worth its cost."""

LEAST = 8
"""Architectures below which ranks say nothing."""


@dataclass(frozen=True)
class Score:
    """One estimator's row.

    Args:
        estimator: Its name.
        statistics: What it is worth on the architectures.
        intervals: By statistic, the bounds of its 95 % bootstrap interval.
        over_macs: Its Kendall minus that of MACs; NaN without MACs.
        over_macs_interval: Bounds of the 95 % interval of that difference, paired.
        missing: Architectures for which it had no finite value.
        seconds: Time of an estimate, mean over the architectures; NaN where it is not known.
    """

    estimator: str
    statistics: RankStatistics
    intervals: dict[str, tuple[float, float]]
    over_macs: float
    over_macs_interval: tuple[float, float]
    missing: int
    seconds: float

    @property
    def beats_macs(self) -> bool | None:
        """Whether its Kendall is above that of MACs; ``None`` where that cannot be said."""
        return None if math.isnan(self.over_macs) else self.over_macs > 0

    @property
    def undecided(self) -> bool:
        """Whether the interval of the difference to MACs holds 0, or is not known."""
        low, high = self.over_macs_interval
        return not (low > 0 or high < 0)

    def to_json(self) -> dict[str, Any]:
        """Plain values; ``low`` and ``high`` are the bounds of ``kendall``."""
        low, high = self.intervals["kendall"]
        return {
            "estimator": self.estimator,
            **self.statistics.to_json(),
            "seconds_per_architecture": self.seconds,
            "low": low,
            "high": high,
            "intervals": {name: list(bounds) for name, bounds in self.intervals.items()},
            "over_macs": self.over_macs,
            "over_macs_low": self.over_macs_interval[0],
            "over_macs_high": self.over_macs_interval[1],
            "beats_macs": self.beats_macs,
            "missing": self.missing,
        }


def scoreboard(
    values: Mapping[str, ArrayLike],
    truth: ArrayLike,
    *,
    seconds: Mapping[str, float] | None = None,
    bands: ArrayLike | None = None,
    resamples: int | None = None,
    seed: int = 0,
    on_row: Callable[[int], None] | None = None,
) -> list[Score]:
    """A row per estimator, the best Kendall first.

    Args:
        values: By estimator, its values ``(n,)``, higher is better; NaN where it has none.
        truth: Trained accuracies ``(n,)``, finite.
        seconds: By estimator, mean time of an estimate.
        bands: The band of cost of each architecture, see
            :func:`hwnas.estimators.ranking.cost_bands`.
        resamples: For the intervals; see :class:`hwnas.estimators.resampling.Resampling`.
        seed: Seed of the resamples.
        on_row: Told how many rows are done.

    Raises:
        SpecError: There are fewer than eight architectures, or lengths differ.
    """
    true: Floats = np.asarray(truth, dtype=float)
    if len(true) < LEAST:
        raise SpecError(
            f"a scoreboard needs at least {LEAST} architectures with an accuracy; "
            f"received {len(true)}"
        )
    resampling = Resampling(true, bands, resamples=resamples, seed=seed)
    # MACs first: the others are compared with them.
    order = sorted(values, key=lambda name: name != BASELINE)
    baseline: tuple[float, Floats] | None = None
    rows = []
    for count, name in enumerate(order, start=1):
        own = np.asarray(values[name], dtype=float)
        statistics, drawn = rank_statistics(own, true, bands), resampling.draw(own)
        if name == BASELINE:
            baseline = statistics.kendall, drawn["kendall"]
        over, bounds = math.nan, (math.nan, math.nan)
        if baseline is not None and name != BASELINE:
            over = statistics.kendall - baseline[0]
            bounds = interval(drawn["kendall"] - baseline[1])
        rows.append(
            Score(
                estimator=name,
                statistics=statistics,
                intervals={item: interval(drawn[item]) for item in STATISTICS},
                over_macs=over,
                over_macs_interval=bounds,
                missing=int((~np.isfinite(own)).sum()),
                seconds=(seconds or {}).get(name, math.nan),
            )
        )
        if on_row is not None:
            on_row(count)
    # NaN last.
    return sorted(rows, key=lambda row: (math.isnan(row.statistics.kendall), _falling(row)))


def _falling(row: Score) -> float:
    kendall = row.statistics.kendall
    return 0.0 if math.isnan(kendall) else -kendall


def warnings_of(rows: list[Score]) -> list[str]:
    """What must be said of estimators that do not beat MACs, a line each.

    Args:
        rows: As :func:`scoreboard` gives them; without MACs nothing can be said.
    """
    kendall = {row.estimator: row.statistics.kendall for row in rows}
    if BASELINE not in kendall:
        return []
    own = [row for row in rows if row.estimator != BASELINE]
    beaten = [row for row in own if row.beats_macs is False]
    unsure = [row for row in own if row.beats_macs and row.undecided]
    found = []
    if beaten:
        names = ", ".join(f"{row.estimator} ({row.statistics.kendall:.2f})" for row in beaten)
        found.append(
            f"no better than counting MACs (Kendall {kendall[BASELINE]:.2f}) on these "
            f"architectures: {names}"
        )
    if unsure:
        names = ", ".join(
            f"{row.estimator} ({row.over_macs:+.2f}, "
            f"{row.over_macs_interval[0]:+.2f} to {row.over_macs_interval[1]:+.2f})"
            for row in unsure
        )
        found.append(
            f"above MACs, but so little that with these architectures it may be chance: {names}"
        )
    return found
