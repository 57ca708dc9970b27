"""Primitive layers that take channels apart, put them together or wipe them, no parameters."""

from dataclasses import dataclass
from typing import ClassVar

from hwnas.errors import ShapeError, SpecError
from hwnas.spaces.layers import Layer, Shape, check_image, check_positive


@dataclass(frozen=True)
class ChannelPart(Layer):
    """One of several equal parts of an image's channels.

    Layers that read different parts of one tensor are one operator in ONNX.
    """

    part: int
    parts: int

    def __post_init__(self) -> None:
        check_positive("part", parts=self.parts)
        if not 0 <= self.part < self.parts:
            raise SpecError(f"part: must be 0 to {self.parts - 1}, received {self.part}")

    def output_shape(self, *inputs: Shape) -> Shape:
        channels, height, width = check_image("part", inputs[0])
        if channels % self.parts:
            raise ShapeError(
                f"part: {self.parts} parts must divide the channels, received {channels}"
            )
        return (channels // self.parts, height, width)


@dataclass(frozen=True)
class Concat(Layer):
    """The channels of two images of one size, one after the other."""

    arity: ClassVar[int] = 2

    def output_shape(self, *inputs: Shape) -> Shape:
        left, right = (check_image("concat", shape) for shape in inputs)
        if left[1:] != right[1:]:
            raise ShapeError(f"concat takes images of one size, received {left} and {right}")
        return (left[0] + right[0], *left[1:])


@dataclass(frozen=True)
class ChannelShuffle(Layer):
    """Channels of ``groups`` equal parts in turn, the first of each part first.

    That of ShuffleNet (Zhang et al., 2018): written as a matrix of groups ×
    channels and read along its columns.
    """

    groups: int

    def __post_init__(self) -> None:
        check_positive("shuffle", groups=self.groups)

    def output_shape(self, *inputs: Shape) -> Shape:
        channels, height, width = check_image("shuffle", inputs[0])
        if channels % self.groups:
            raise ShapeError(
                f"shuffle: groups must divide the channels, received {self.groups} groups for "
                f"{channels} channels"
            )
        return (channels, height, width)


@dataclass(frozen=True)
class Zero(Layer):
    """Nothing but zeros in the shape of what it reads."""
