"""What a study judges with, and what it remembers of it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hwnas.search.constraint import Genotype
from hwnas.search.pareto import pareto_front
from hwnas.spaces.architecture import Architecture


@dataclass(frozen=True)
class Evaluation:
    """What judging gave: accuracy (not finite if it failed), cost, and how it came about."""

    value: float
    seconds: float
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One architecture that was judged.

    Args:
        number: Position in the study.
        strategy: Who proposed it.
        genotype: Its genes.
        value: Accuracy, or ``None`` where it failed.
        predicted_ms: Predicted latency.
        low_ms: Lower bound of the latency.
        high_ms: Upper bound.
        seconds: What judging it cost.
        provenance: How the value came about.
    """

    number: int
    strategy: str
    genotype: Genotype
    value: float | None
    predicted_ms: float
    low_ms: float
    high_ms: float
    seconds: float
    provenance: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Trial":
        """What :meth:`to_json` wrote."""
        return cls(**{**value, "genotype": tuple(value["genotype"])})


def front_of(trials: Iterable[Trial]) -> list[Trial]:
    """Trials that no other beats in latency and accuracy, by rising latency."""
    good = [(trial, trial.value) for trial in trials if trial.value is not None]
    indices = pareto_front([t.predicted_ms for t, _ in good], [value for _, value in good])
    return [good[i][0] for i in indices]


Evaluate = Callable[[Architecture], Evaluation]
Prefilter = Callable[[Sequence[Architecture]], Sequence[float]]
