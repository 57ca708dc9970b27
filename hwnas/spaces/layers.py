"""Primitive layers: what every block is made of.

A layer knows the shape that it computes and the parameters that it holds, and
nothing about torch or ONNX; one interpreter for each gives it its meaning.
Shapes carry no batch dimension: ``(channels, height, width)`` for images and
``(features,)`` for vectors.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from hwnas.errors import ShapeError, SpecError

Shape = tuple[int, ...]

ACTIVATIONS = ("relu", "relu6", "hardswish", "hardsigmoid", "sigmoid", "silu", "gelu")


def check_image(layer: str, shape: Shape) -> tuple[int, int, int]:
    """The shape, if it is that of an image.

    Raises:
        ShapeError: It has not three dimensions.
    """
    if len(shape) != 3:
        raise ShapeError(f"{layer} takes an image (channels, height, width), received {shape}")
    return shape[0], shape[1], shape[2]


def check_positive(layer: str, **values: int) -> None:
    """Refuse settings of a layer that are below one.

    Raises:
        SpecError: One is.
    """
    for name, value in values.items():
        if value < 1:
            raise SpecError(f"{layer}: {name} must be at least 1, received {value}")


@dataclass(frozen=True)
class Layer:
    """Base of the primitive layers."""

    arity: ClassVar[int] = 1

    def output_shape(self, *inputs: Shape) -> Shape:
        """Shape of the output for the given input shapes."""
        return inputs[0]

    def parameter_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """Shapes of the trained parameters, by name."""
        return {}

    def macs(self, *inputs: Shape) -> int:
        """Multiply-accumulate operations for one image."""
        return 0


@dataclass(frozen=True)
class Conv2d(Layer):
    """Square convolution with padding that keeps the image size at stride 1."""

    out_channels: int
    kernel: int
    stride: int = 1
    groups: int = 1
    bias: bool = False

    def __post_init__(self) -> None:
        check_positive(
            "convolution",
            out_channels=self.out_channels,
            kernel=self.kernel,
            stride=self.stride,
            groups=self.groups,
        )
        if self.kernel % 2 == 0:
            raise SpecError(f"convolution: kernel must be odd, received {self.kernel}")
        if self.out_channels % self.groups:
            raise SpecError(
                f"convolution: groups must divide the output channels, received {self.groups} "
                f"groups for {self.out_channels} channels"
            )

    @property
    def padding(self) -> int:
        """Zeros added on each side."""
        return self.kernel // 2

    def output_shape(self, *inputs: Shape) -> Shape:
        channels, height, width = check_image("convolution", inputs[0])
        if channels % self.groups:
            raise SpecError(
                f"convolution: groups must divide the input channels, received {self.groups} "
                f"groups for {channels} channels"
            )
        if self.stride > max(height, width):
            raise SpecError(
                f"convolution: stride {self.stride} goes past an image of {height}×{width}"
            )
        return (self.out_channels, -(-height // self.stride), -(-width // self.stride))

    def parameter_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        weight = (self.out_channels, inputs[0][0] // self.groups, self.kernel, self.kernel)
        return {"weight": weight} | ({"bias": (self.out_channels,)} if self.bias else {})

    def macs(self, *inputs: Shape) -> int:
        _, height, width = self.output_shape(*inputs)
        return math.prod(self.parameter_shapes(*inputs)["weight"]) * height * width


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Batch normalisation over channels; running statistics are kept by the interpreter."""

    epsilon: float = 1e-5

    def parameter_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        return {"weight": (inputs[0][0],), "bias": (inputs[0][0],)}


@dataclass(frozen=True)
class Activation(Layer):
    """An element-wise non-linearity, one of ``ACTIVATIONS``."""

    kind: str

    def __post_init__(self) -> None:
        if self.kind not in ACTIVATIONS:
            raise SpecError(
                f"activation: kind must be one of {', '.join(ACTIVATIONS)}, received '{self.kind}'"
            )


@dataclass(frozen=True)
class Add(Layer):
    """Sum of two tensors of one shape."""

    arity: ClassVar[int] = 2

    def output_shape(self, *inputs: Shape) -> Shape:
        if inputs[0] != inputs[1]:
            raise ShapeError(f"add takes two equal shapes, received {inputs[0]} and {inputs[1]}")
        return inputs[0]


@dataclass(frozen=True)
class Scale(Layer):
    """An image times a factor per channel, ``(channels, 1, 1)``, as squeeze-excite applies it."""

    arity: ClassVar[int] = 2

    def output_shape(self, *inputs: Shape) -> Shape:
        channels, _, _ = check_image("scale", inputs[0])
        if inputs[1] != (channels, 1, 1):
            raise ShapeError(
                f"scale takes factors of shape ({channels}, 1, 1), received {inputs[1]}"
            )
        return inputs[0]


@dataclass(frozen=True)
class Pool2d(Layer):
    """Maximum or average over a window, padded as a convolution is, or not at all."""

    kind: str
    kernel: int
    stride: int
    padded: bool = True

    def __post_init__(self) -> None:
        if self.kind not in ("max", "average"):
            raise SpecError(f"pool: kind must be max or average, received '{self.kind}'")
        check_positive("pool", kernel=self.kernel, stride=self.stride)
        if self.padded and self.kernel % 2 == 0:
            raise SpecError(f"pool: kernel must be odd, received {self.kernel}")

    @property
    def padding(self) -> int:
        """Rows and columns added on each side."""
        return self.kernel // 2 if self.padded else 0

    def output_shape(self, *inputs: Shape) -> Shape:
        channels, height, width = check_image("pool", inputs[0])
        if self.padded:
            return (channels, -(-height // self.stride), -(-width // self.stride))
        if self.kernel > min(height, width):
            raise ShapeError(f"pool of {self.kernel} goes past an image of {height}×{width}")
        rows, columns = ((side - self.kernel) // self.stride + 1 for side in (height, width))
        return (channels, rows, columns)


@dataclass(frozen=True)
class GlobalAveragePool(Layer):
    """Mean over the image, kept as ``(channels, 1, 1)``."""

    def output_shape(self, *inputs: Shape) -> Shape:
        return (check_image("global pool", inputs[0])[0], 1, 1)


@dataclass(frozen=True)
class Flatten(Layer):
    """All elements as one vector."""

    def output_shape(self, *inputs: Shape) -> Shape:
        return (math.prod(inputs[0]),)


@dataclass(frozen=True)
class Linear(Layer):
    """A matrix product with bias on a vector."""

    out_features: int

    def __post_init__(self) -> None:
        check_positive("linear", out_features=self.out_features)

    def output_shape(self, *inputs: Shape) -> Shape:
        if len(inputs[0]) != 1:
            raise ShapeError(f"linear takes a vector (features,), received {inputs[0]}")
        return (self.out_features,)

    def parameter_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        return {"weight": (self.out_features, inputs[0][0]), "bias": (self.out_features,)}

    def macs(self, *inputs: Shape) -> int:
        return self.out_features * inputs[0][0]
