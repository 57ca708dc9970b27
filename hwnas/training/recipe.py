"""How a network is trained: the numbers that decide the result."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from hwnas.errors import SpecError


@dataclass(frozen=True)
class Recipe:
    """Stochastic gradient descent with Nesterov momentum and a cosine schedule.

    The defaults suit networks of a few million operations on a few thousand small
    images and few epochs: steps are then what is short, so batches are small and
    the rate is high.

    Args:
        epochs: Passes over the training images.
        batch_size: Images per step.
        learning_rate: The highest rate, reached after the warm-up.
        momentum: Of the gradient, 0 to below 1.
        weight_decay: Of convolution and linear weights; biases and batch norms have none.
        label_smoothing: Probability that is spread over all classes.
        warmup: Share of the training in which the rate rises from near zero.
        shift: Images are moved by up to this share of their size, in both
            directions, anew each time; 0 leaves them alone.
        seed: Seed of the order and the shifts.

    Raises:
        SpecError: A value is out of range.
    """

    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    warmup: float = 0.15
    shift: float = 0.06
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("epochs", 1, math.inf),
            ("batch_size", 1, math.inf),
            ("learning_rate", 0, math.inf),
            ("momentum", 0, 1),
            ("weight_decay", 0, math.inf),
            ("label_smoothing", 0, 1),
            ("warmup", 0, 1),
            ("shift", 0, 0.5),
        ):
            value = getattr(self, name)
            if (
                type(value) not in (int, float)
                or not math.isfinite(value)
                or not low <= value <= high
            ):
                raise SpecError(
                    f"recipe: {name} must be a number from {low} to {high}, received {value!r}"
                )
        for name in ("epochs", "batch_size", "seed"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise SpecError(f"recipe: {name} must be a whole number, received {value!r}")
        if self.learning_rate == 0 or self.momentum == 1:
            raise SpecError("recipe: learning_rate must be above 0 and momentum below 1")

    def rate(self, progress: float) -> float:
        """The learning rate when a share of the training is done.

        Args:
            progress: 0 at the start, 1 at the end.
        """
        if progress < self.warmup:
            return self.learning_rate * max(progress / self.warmup, 0.01)
        rest = (progress - self.warmup) / max(1 - self.warmup, 1e-12)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(rest, 1.0)))

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Recipe":
        """The recipe that :meth:`to_json` wrote."""
        return cls(**value)
