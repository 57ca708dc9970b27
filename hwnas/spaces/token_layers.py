"""Primitive layers of transformers, on tokens ``(tokens, features)``."""

import math
from dataclasses import dataclass
from typing import ClassVar

from hwnas.errors import ShapeError, SpecError
from hwnas.spaces.layers import Layer, Shape, check_image, check_positive


def check_tokens(layer: str, shape: Shape) -> tuple[int, int]:
    """The shape, if it is that of tokens.

    Raises:
        ShapeError: It has not two dimensions.
    """
    if len(shape) != 2:
        raise ShapeError(f"{layer} takes tokens (tokens, features), received {shape}")
    return shape[0], shape[1]


@dataclass(frozen=True)
class PatchConv2d(Layer):
    """A convolution with bias over square patches that do not overlap."""

    out_channels: int
    patch: int

    def __post_init__(self) -> None:
        check_positive("patches", out_channels=self.out_channels, patch=self.patch)

    def output_shape(self, *inputs: Shape) -> Shape:
        _, height, width = check_image("patches", inputs[0])
        if height % self.patch or width % self.patch:
            raise ShapeError(
                f"patches of {self.patch} pixels must divide the image, received {height}×{width}"
            )
        return (self.out_channels, height // self.patch, width // self.patch)

    def parameter_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        weight = (self.out_channels, inputs[0][0], self.patch, self.patch)
        return {"weight": weight, "bias": (self.out_channels,)}

    def macs(self, *inputs: Shape) -> int:
        _, height, width = self.output_shape(*inputs)
        return math.prod(self.parameter_shapes(*inputs)["weight"]) * height * width


@dataclass(frozen=True)
class ToTokens(Layer):
    """The pixels of an image, row by row, as tokens with its channels as features."""

    def output_shape(self, *inputs: Shape) -> Shape:
        channels, height, width = check_image("tokens", inputs[0])
        return (height * width, channels)


@dataclass(frozen=True)
class ToImage(Layer):
    """Tokens as the pixels of an image, row by row: what ``ToTokens`` took apart."""

    height: int
    width: int

    def __post_init__(self) -> None:
        check_positive("image", height=self.height, width=self.width)

    def output_shape(self, *inputs: Shape) -> Shape:
        tokens, features = check_tokens("image", inputs[0])
        if tokens != self.height * self.width:
            raise ShapeError(
                f"image of {self.height}×{self.width} takes {self.height * self.width} tokens, "
                f"received {tokens}"
            )
        return (features, self.height, self.width)


@dataclass(frozen=True)
class LayerScale(Layer):
    """A trained factor for each feature of the tokens (Touvron et al., 2021, CaiT)."""

    def output_shape(self, *inputs: Shape) -> Shape:
        return check_tokens("layer scale", inputs[0])

    def parameter_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        return {"weight": (inputs[0][1],)}


@dataclass(frozen=True)
class ClassToken(Layer):
    """A trained token before the others."""

    def output_shape(self, *inputs: Shape) -> Shape:
        tokens, features = check_tokens("class token", inputs[0])
        return (tokens + 1, features)

    def parameter_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        return {"weight": (1, inputs[0][1])}


@dataclass(frozen=True)
class PositionEmbedding(Layer):
    """A trained vector added to each token."""

    def output_shape(self, *inputs: Shape) -> Shape:
        return check_tokens("position embedding", inputs[0])

    def parameter_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        return {"weight": inputs[0]}


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Normalisation over the features of each token."""

    epsilon: float = 1e-6

    def output_shape(self, *inputs: Shape) -> Shape:
        return check_tokens("layer norm", inputs[0])

    def parameter_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        return {"weight": (inputs[0][1],), "bias": (inputs[0][1],)}


@dataclass(frozen=True)
class TokenLinear(Layer):
    """A matrix product with bias on the features of each token."""

    out_features: int

    def __post_init__(self) -> None:
        check_positive("linear", out_features=self.out_features)

    def output_shape(self, *inputs: Shape) -> Shape:
        return (check_tokens("linear", inputs[0])[0], self.out_features)

    def parameter_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        return {"weight": (self.out_features, inputs[0][1]), "bias": (self.out_features,)}

    def macs(self, *inputs: Shape) -> int:
        return self.out_features * math.prod(inputs[0])


@dataclass(frozen=True)
class Attention(Layer):
    """Scaled dot-product attention of queries, keys and values, in heads.

    Vaswani et al., 2017, equation 1; without projections, which are layers of
    their own.
    """

    heads: int
    arity: ClassVar[int] = 3

    def __post_init__(self) -> None:
        check_positive("attention", heads=self.heads)

    def output_shape(self, *inputs: Shape) -> Shape:
        tokens, features = check_tokens("attention", inputs[0])
        if any(shape != inputs[0] for shape in inputs):
            raise ShapeError(f"attention takes three equal shapes, received {inputs}")
        if features % self.heads:
            raise SpecError(
                f"attention: heads must divide the features, received {self.heads} heads for "
                f"{features} features"
            )
        return (tokens, features)

    def macs(self, *inputs: Shape) -> int:
        tokens, features = inputs[0]
        return 2 * tokens * tokens * features


@dataclass(frozen=True)
class FirstToken(Layer):
    """The features of the first token, which is the class token where there is one."""

    def output_shape(self, *inputs: Shape) -> Shape:
        return (check_tokens("first token", inputs[0])[1],)


@dataclass(frozen=True)
class MeanToken(Layer):
    """The mean of all tokens."""

    def output_shape(self, *inputs: Shape) -> Shape:
        return (check_tokens("mean token", inputs[0])[1],)
