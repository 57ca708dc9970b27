"""How a hypernetwork is trained: the numbers that decide the result."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from hwnas.errors import SpecError
from hwnas.nets.hypernetwork import CHANNELS, HIDDEN, KERNEL

DECAY_AT = (0.5, 0.75)
"""Shares of the training after which the learning rate falls to a tenth, as in GHN-2."""


@dataclass(frozen=True)
class HypernetRecipe:
    """How a hypernetwork is trained.

    Args:
        epochs: Passes over the training images.
        epoch_steps: The most steps of an epoch; where there are more images, each epoch
            sees others of them, drawn at random.
        batch_size: Images per step, at least 3: two could leave a batch of one image, which has
            no statistics.
        architectures: Architectures per step, which all see the same images.
        learning_rate: Of Adam, at the start.
        weight_decay: Of all weights of the hypernetwork.
        shift: Images are moved by up to this share of their size.
        hidden: See :class:`~hwnas.nets.hypernetwork.Hypernetwork`, as the next two.
        channels: Channels of the largest kernel.
        kernel: Height and width of the largest kernel, pixels.
        seed: Seed of the weights, architectures, order and shifts.

    Raises:
        SpecError: A value is out of range.
    """

    epochs: int = 40
    epoch_steps: int = 32
    batch_size: int = 64
    architectures: int = 8
    learning_rate: float = 3e-3
    weight_decay: float = 1e-5
    shift: float = 0.06
    hidden: int = HIDDEN
    channels: int = CHANNELS
    kernel: int = KERNEL
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        for name, value in asdict(self).items():
            if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
                raise SpecError(
                    f"hypernetwork recipe: {name} must be a number from 0, received {value!r}"
                )
            if name not in ("learning_rate", "weight_decay", "shift") and type(value) is not int:
                raise SpecError(
                    f"hypernetwork recipe: {name} must be a whole number, received {value!r}"
                )
        for name, least in (
            ("epochs", 1),
            ("epoch_steps", 1),
            ("batch_size", 3),
            ("architectures", 1),
        ):
            if getattr(self, name) < least:
                raise SpecError(
                    f"hypernetwork recipe: {name} must be at least {least}, received "
                    f"{getattr(self, name)}"
                )
        if self.learning_rate == 0 or self.shift > 0.5:
            raise SpecError(
                "hypernetwork recipe: learning_rate must be above 0 and shift at most 0.5"
            )

    def rate(self, progress: float) -> float:
        """The learning rate when a share of the training is done, 0 to 1."""
        return self.learning_rate * 0.1 ** sum(progress >= share for share in DECAY_AT)

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain values."""
        return asdict(self)
