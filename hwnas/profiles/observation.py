"""What was seen of one model in one worker process, and the measurement that several make."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from statistics import median
from typing import Any

import numpy as np
from scipy import stats

CANARY_TOLERANCE = 0.03
STABLE_WITHIN = 0.05


@dataclass(frozen=True)
class Observation:
    """One model in one worker process.

    Args:
        key: The part: ``call``, ``edge:…``, ``kernel:…``, ``block:…``, ``network:…``.
        session: The worker process that saw it.
        quiet_ms: Low quantile of the burst minima in accepted rounds.
        low_ms: Lower end of the 95 % interval of that quantile.
        high_ms: Upper end.
        median_ms: Median of all kept runs.
        first_ms: The first inference after the session was built.
        build_ms: Building the session.
        cold_ms: Median inference with cold caches; ``None`` where it was not asked for.
        rounds: Visits to the model.
        accepted: Visits between two quiet readings of the canary.
        canary_ms: The canary's best in this process.
        failure: Why there is no number, or ``None``.
    """

    key: str
    session: str
    quiet_ms: float = float("nan")
    low_ms: float = float("nan")
    high_ms: float = float("nan")
    median_ms: float = float("nan")
    first_ms: float = float("nan")
    build_ms: float = float("nan")
    cold_ms: float | None = None
    rounds: int = 0
    accepted: int = 0
    canary_ms: float = float("nan")
    failure: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values; times are rounded to a hundredth of a microsecond."""
        values = {
            item.name: round(value, 5) if isinstance(value, float) else value
            for item in fields(self)
            for value in [getattr(self, item.name)]
        }
        if self.failure is not None:
            return {name: values[name] for name in ("key", "session", "failure")}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Measurement:
    """The latency of one part, from all its observations.

    Args:
        key: The part.
        latency_ms: Median over processes of the quiet time.
        low_ms: Lower end: over processes, and within them.
        high_ms: Upper end.
        median_ms: Median over processes of the median run.
        first_ms: Median over processes of the first inference.
        build_ms: Median over processes of building the session.
        cold_ms: Median over processes of an inference with cold caches, if any has it.
        verdict: ``stable``, or ``unstable`` where processes disagree or the canary
            was never quiet.
        rounds: Accepted visits.
        sessions: Processes.
        session_ms: The quiet time of each process.
    """

    key: str
    latency_ms: float
    low_ms: float
    high_ms: float
    median_ms: float
    first_ms: float
    build_ms: float
    cold_ms: float | None
    verdict: str
    rounds: int
    sessions: int
    session_ms: tuple[float, ...]


LEAST_ACCEPTED = 3
"""Accepted visits that a process needs to count as quiet."""


def is_quiet(item: Observation, canary_ms: float) -> bool:
    """Whether a process worked, its canary came near the device's best, and enough visits count.

    Args:
        item: What the process saw of a part.
        canary_ms: The canary's best over all processes of the device.
    """
    near = item.canary_ms <= canary_ms * (1 + CANARY_TOLERANCE)
    return item.failure is None and near and item.accepted >= LEAST_ACCEPTED


def combine(observations: Sequence[Observation], canary_ms: float) -> Measurement:
    """One measurement from the observations of one part.

    Processes whose canary never came near the device's best are left out where
    others did: they were slow from start to end, which no round of theirs shows.

    Args:
        observations: At least one without failure.
        canary_ms: The canary's best over all processes of the device.
    """
    seen = [item for item in observations if item.failure is None]
    quiet = [item for item in seen if is_quiet(item, canary_ms)]
    used = quiet or seen
    values = [item.quiet_ms for item in used]
    latency = median(values)
    disagreement = median(abs(value - latency) for value in values) / latency
    low, high = _across(values)
    cold = [item.cold_ms for item in used if item.cold_ms is not None]
    return Measurement(
        key=observations[0].key,
        latency_ms=latency,
        low_ms=min(low, *(item.low_ms for item in used)),
        high_ms=max(high, *(item.high_ms for item in used)),
        median_ms=median(item.median_ms for item in used),
        first_ms=median(item.first_ms for item in used),
        build_ms=median(item.build_ms for item in used),
        cold_ms=median(cold) if cold else None,
        verdict="stable" if quiet and disagreement <= STABLE_WITHIN else "unstable",
        rounds=sum(item.accepted for item in used),
        sessions=len(used),
        session_ms=tuple(values),
    )


def _across(values: Sequence[float]) -> tuple[float, float]:
    """A 95 % interval of what processes have in common: Student's, of the logarithms.

    Each process has a factor of its own (where its memory lies), which no
    interval within a process can know.
    """
    if len(values) < 2:
        return values[0], values[0]
    logs = np.log(values)
    half = _student(len(logs) - 1) * float(logs.std(ddof=1)) / len(logs) ** 0.5
    return float(np.exp(logs.mean() - half)), float(np.exp(logs.mean() + half))


@lru_cache
def _student(freedom: int) -> float:
    return float(stats.t.ppf(0.975, freedom))
