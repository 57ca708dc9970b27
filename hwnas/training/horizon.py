"""How many steps a training has: its epochs, or what a budget of operations pays for."""

from itertools import accumulate

from hwnas.training.curve import training_macs


class Horizon:
    """The steps of a training, from its epochs and its budget of operations.

    Batches are equal to within one image, see
    :func:`hwnas.training.batches.batch_indices`, so that the number of images after each
    step is known before.

    Args:
        images: Training images.
        batch_size: The most images of a step.
        epochs: Passes over them, at most.
        macs: Multiply-accumulates that may be spent, at most; ``None`` for no bound. No step
            is made that would pass it, but one is always made.
        architecture_macs: Multiply-accumulates of one image, forward.

    Attributes:
        steps_per_epoch: Steps of a whole pass.
        steps: Steps of the training, at least one.
        cut: Whether the operations end it before the epochs do.
    """

    def __init__(
        self, images: int, batch_size: int, epochs: int, macs: float | None, architecture_macs: int
    ) -> None:
        self.steps_per_epoch = -(-images // batch_size)
        small, larger = divmod(images, self.steps_per_epoch)
        sizes = [small + 1] * larger + [small] * (self.steps_per_epoch - larger)
        self._seen = [0, *accumulate(sizes)]
        self._images = images
        self._image_macs = training_macs(architecture_macs, 1)
        whole = epochs * self.steps_per_epoch
        paid = whole if macs is None else self._paid(macs)
        self.steps, self.cut = max(1, min(whole, paid)), paid < whole

    def _paid(self, macs: float) -> int:
        """Steps that stay within a budget."""
        passes, rest = divmod(int(macs // max(self._image_macs, 1)), self._images)
        within = sum(seen <= rest for seen in self._seen[1:])
        return passes * self.steps_per_epoch + within

    def images(self, steps: int) -> int:
        """Images seen after so many steps, each as often as it was seen."""
        passes, rest = divmod(steps, self.steps_per_epoch)
        return passes * self._images + self._seen[rest]

    def macs(self, steps: int) -> int:
        """Multiply-accumulates of so many steps."""
        return self._image_macs * self.images(steps)


def epochs_within(macs: float, images: int, architecture_macs: int) -> int:
    """Passes over the images that a budget begins, at least 1: the epochs of an equal compute.

    Args:
        macs: Multiply-accumulates of the training.
        images: Training images.
        architecture_macs: Multiply-accumulates of one image, forward.
    """
    return max(1, -int(-macs // max(training_macs(architecture_macs, images), 1)))
