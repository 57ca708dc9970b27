"""The learning curve of a training, and when it says to stop."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hwnas.errors import SpecError


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images gave.

    Args:
        epoch: Its number, from 1.
        loss: Mean training loss, with label smoothing.
        accuracy: Share of the validation images that are classified right.
        seconds: Time of the pass and its validation.
    """

    epoch: int
    loss: float
    accuracy: float
    seconds: float


@dataclass(frozen=True)
class TrainingResult:
    """What a training gave.

    Args:
        accuracy: Share of the validation images that the returned weights classify right.
        test_accuracy: The same for the test images; ``None`` where they were not to be seen.
        curve: The epochs, first to last; the last may be a part of one.
        epochs: Passes over the training images, a fraction where it ended within one.
        seconds: Time of all epochs, over all calls if the training was resumed.
        macs: Multiply-accumulates of the training, see :func:`training_macs`.
        best_epoch: The epoch of the returned weights: the last one, or with early
            stopping the most accurate.
        ended_by: What ended it: ``"epochs"``, ``"seconds"``, ``"macs"`` or ``"patience"``.
    """

    accuracy: float
    test_accuracy: float | None
    curve: tuple[Epoch, ...]
    epochs: float
    seconds: float
    macs: int
    best_epoch: int
    ended_by: str

    def to_json(self) -> dict[str, Any]:
        """The result as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class EarlyStopping:
    """Ends a training whose validation accuracy no longer rises.

    The weights of the most accurate epoch are given back. An accuracy that was chosen as
    the best of several on the same images is a little too high, the more so the fewer
    images there are.

    Args:
        patience: Epochs in a row without improvement after which a training ends.
        min_delta: What an accuracy must be above the best before by to be an improvement,
            as a share of the images.

    Raises:
        SpecError: ``patience`` is below 1, or ``min_delta`` not from 0 to below 1.
    """

    patience: int
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        """Check the values."""
        if type(self.patience) is not int or self.patience < 1:
            raise SpecError(
                f"early stopping: patience must be a whole number of epochs, at least 1; "
                f"received {self.patience!r}"
            )
        if not 0 <= self.min_delta < 1:
            raise SpecError(
                f"early stopping: min_delta must be from 0 to below 1, received {self.min_delta}"
            )

    def is_over(self, curve: Sequence[Epoch]) -> bool:
        """Whether the last ``patience`` epochs brought no improvement."""
        best, waited = -math.inf, 0
        for epoch in curve:
            if epoch.accuracy > best + self.min_delta:
                best, waited = epoch.accuracy, 0
            else:
                waited += 1
        return waited >= self.patience


def best_of(curve: Sequence[Epoch]) -> Epoch:
    """The most accurate epoch; the first of equals."""
    return max(curve, key=lambda epoch: epoch.accuracy)


def training_macs(architecture_macs: int, images: int) -> int:
    """Multiply-accumulates of training on so many images, an image counted each time it is seen.

    Three times those of the forward passes: the backward pass computes two products of
    the same size for each of the forward pass, one for the gradient of the weights and
    one for that of the inputs. Validation does not count.

    Args:
        architecture_macs: Multiply-accumulates of one image, forward.
        images: How many images are seen.
    """
    return 3 * architecture_macs * images
