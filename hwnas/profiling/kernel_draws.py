"""Sizes of kernels as networks for images and tokens have them, drawn at random."""

import math
from typing import TypeVar

import numpy as np

from hwnas.kernels import Kernel
from hwnas.kernels.kernel import Attribute, Shape

SIDES = (1, 2, 4, 7, 8, 12, 14, 16, 24, 28, 32, 48, 56, 64, 112)
ROWS, COLUMNS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32), (10, 20, 24, 40, 48, 64, 80, 96, 128, 160)
"""Images of lines of print and of sound are wider than high."""

WIDE_EVERY = 7
"""One of so many images is wider than high."""

HEADS = (1, 2, 3, 4, 6, 8, 12)


Value = TypeVar("Value")


class Draw:
    """Draws sizes.

    Args:
        rng: Source of the draws.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def between(self, low: int, high: int, multiple: int = 1) -> int:
        """A multiple, uniform in the logarithm."""
        value = math.exp(self._rng.uniform(math.log(low), math.log(high)))
        return max(1, round(value / multiple)) * multiple

    def of(self, values: tuple[Value, ...]) -> Value:
        """One of some values."""
        return values[int(self._rng.integers(len(values)))]

    def channels(self, most: int = 1024) -> int:
        """Channels: mostly multiples of eight, as networks have them."""
        return self.between(8, most, self.of((8, 8, 8, 4)))

    def side(self, least: int = 1) -> int:
        """Rows and columns of an image."""
        return self.of(tuple(side for side in SIDES if side >= least))

    def image(self, least: int = 1, most: int = 1024) -> Shape:
        """An image, with batch: mostly square.

        Args:
            least: The fewest rows.
            most: The most channels.
        """
        side, channels = self.side(least), self.channels(most)
        if int(self._rng.integers(WIDE_EVERY)):
            return (1, channels, side, side)
        rows = self.of(tuple(rows for rows in ROWS if rows >= least))
        return (1, channels, rows, self.of(COLUMNS))

    def tokens(self) -> int:
        """How many tokens: those of images in patches, some with a class token, and texts."""
        return self.of((16, 17, 49, 64, 65, 128, 196, 197))


def kernel_of(
    op: str,
    inputs: tuple[Shape, ...],
    weights: tuple[Shape, ...],
    outputs: tuple[Shape, ...],
    fused: tuple[str, ...] = (),
    **attributes: Attribute,
) -> Kernel:
    """A kernel, its attributes sorted as they are in a profile."""
    kept = tuple(sorted((name, value) for name, value in attributes.items()))
    return Kernel(op, fused, kept, inputs, weights, outputs)


def window(size: int, stride: int | tuple[int, int]) -> dict[str, Attribute]:
    """A square window that keeps the image's size but for the stride, by rows and columns."""
    before = (size - 1) // 2
    strides = (stride, stride) if isinstance(stride, int) else stride
    return {"kernel_shape": (size,) * 2, "pads": (before,) * 4, "strides": strides}
