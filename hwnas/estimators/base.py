"""What estimates the accuracy of an architecture: one protocol, its budget and its result."""

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

from hwnas.errors import SpecError
from hwnas.spaces.architecture import Architecture


@dataclass(frozen=True)
class Budget:
    """What one estimate may cost; ``None`` leaves it to the estimator.

    With several, a training ends with the first that is used up.

    Args:
        epochs: Passes over the training images.
        seconds: Time.
        macs: Multiply-accumulates of training: forward and backward pass count as three
            times the architecture's own for each image seen, so that architectures
            of different size are trained for equal compute. Validation does not count.

    Raises:
        SpecError: A value is not positive, or ``macs`` not finite.
    """

    epochs: int | None = None
    seconds: float | None = None
    macs: float | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if self.epochs is not None and self.epochs < 1:
            raise SpecError(f"budget: epochs must be at least 1, received {self.epochs}")
        if self.seconds is not None and not self.seconds > 0:
            raise SpecError(f"budget: seconds must be more than 0, received {self.seconds}")
        if self.macs is not None and not 0 < self.macs < math.inf:
            raise SpecError(f"budget: macs must be more than 0 and finite, received {self.macs}")


@dataclass(frozen=True)
class Estimate:
    """An estimated accuracy, or a score that ranks as accuracy does.

    Args:
        value: Higher is better; NaN where there is none, as after a training that diverged.
        seconds: What it cost.
        provenance: How it was made, as plain values; ``"estimator"`` is its name.
    """

    value: float
    seconds: float
    provenance: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The estimate as plain values; a value that is not finite is ``None``."""
        return {
            "value": self.value if math.isfinite(self.value) else None,
            "seconds": self.seconds,
            "provenance": self.provenance,
        }


class AccuracyEstimator(Protocol):
    """Estimates how accurate an architecture would be."""

    @property
    def name(self) -> str:
        """Its name in the registry."""
        ...

    def estimate(self, architecture: Architecture, budget: Budget) -> Estimate:
        """The estimate of one architecture; higher is better.

        Args:
            architecture: What to estimate.
            budget: What it may cost.
        """
        ...
