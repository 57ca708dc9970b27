"""Block specs, and the functions that expand each kind to a graph of layers.

Adding a block is one function here with ``@block("kind")``: it receives a
builder and the spec's arguments, and writes layers. Training, export,
measuring and pricing follow from that.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hwnas.errors import SpecError, UnknownNameError
from hwnas.spaces.graph import INPUT, GraphBuilder, LayerGraph
from hwnas.spaces.layers import Conv2d, Flatten, GlobalAveragePool, Linear, Pool2d, Shape

Argument = int | float | str | bool
Expansion = Callable[..., None]

BLOCKS: dict[str, Expansion] = {}


def block(kind: str) -> Callable[[Expansion], Expansion]:
    """Register a function that expands specs of ``kind``."""

    def register(function: Expansion) -> Expansion:
        BLOCKS[kind] = function
        return function

    return register


@dataclass(frozen=True)
class BlockSpec:
    """A kind of block and its arguments, sorted by name; hashable and JSON.

    Build one with :meth:`of`.
    """

    kind: str
    arguments: tuple[tuple[str, Argument], ...]

    @classmethod
    def of(cls, kind: str, **arguments: Argument) -> "BlockSpec":
        """A spec from keyword arguments."""
        return cls(kind, tuple(sorted(arguments.items())))

    def to_json(self) -> dict[str, Any]:
        """The spec as plain values."""
        return {"kind": self.kind, **dict(self.arguments)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "BlockSpec":
        """The spec that :meth:`to_json` wrote."""
        return cls.of(**value)

    def key(self, input_shape: Shape) -> str:
        """A canonical text for the spec on an input shape; what tables are indexed by."""
        arguments = ",".join(f"{name}={json.dumps(value)}" for name, value in self.arguments)
        return f"{self.kind}({arguments})@{'x'.join(map(str, input_shape))}"


@lru_cache(maxsize=65536)
def expand(spec: BlockSpec, input_shape: Shape) -> LayerGraph:
    """The layers of a block on an input shape.

    Raises:
        UnknownNameError: The kind does not exist.
        SpecError: The arguments are not those of the kind, or cannot be built.
    """
    if spec.kind not in BLOCKS:
        raise UnknownNameError("block", spec.kind, BLOCKS)
    builder = GraphBuilder(input_shape)
    try:
        BLOCKS[spec.kind](builder, **dict(spec.arguments))
    except TypeError as error:
        raise SpecError(f"block '{spec.kind}': {error}") from error
    return builder.build()


@block("conv")
def conv(b: GraphBuilder, *, channels: int, kernel: int, stride: int, activation: str) -> None:
    """Convolution, batch norm, activation: a stem or a last feature layer.

    ``"none"`` as the activation leaves it out.
    """
    wanted = None if activation == "none" else activation
    b.conv_bn("conv", INPUT, channels, kernel, stride, activation=wanted)


@block("conv_pool")
def conv_pool(b: GraphBuilder, *, channels: int, kernel: int, stride: int, activation: str) -> None:
    """Convolution, batch norm, activation, 3×3 max pool of stride 2: the stem of ResNet."""
    tensor = b.conv_bn("conv", INPUT, channels, kernel, stride, activation=activation)
    b.add("pool", Pool2d("max", 3, 2), tensor)


@block("depthwise_separable")
def depthwise_separable(
    b: GraphBuilder, *, channels: int, kernel: int, stride: int, activation: str
) -> None:
    """MobileNet's block: depthwise k×k, then pointwise 1×1 that mixes channels."""
    width = b.shape()[0]
    tensor = b.conv_bn("depthwise", INPUT, width, kernel, stride, width, activation)
    b.conv_bn("pointwise", tensor, channels, 1, activation=activation)


@block("inverted_bottleneck")
def inverted_bottleneck(
    b: GraphBuilder,
    *,
    channels: int,
    kernel: int,
    stride: int,
    expansion: int,
    squeeze_excite: bool,
    activation: str,
    hidden: int = 0,
) -> None:
    """MobileNetV2/V3's block: 1×1 expand, depthwise k×k, squeeze-excite, linear 1×1 project.

    ``hidden`` channels, where given, count instead of ``expansion``, for ratios
    that are not whole.
    """
    incoming = b.shape()[0]
    hidden = hidden or incoming * expansion
    tensor = INPUT
    if hidden != incoming:
        tensor = b.conv_bn("expand", tensor, hidden, 1, activation=activation)
    tensor = b.conv_bn("depthwise", tensor, hidden, kernel, stride, hidden, activation)
    if squeeze_excite:
        tensor = b.squeeze_excite("se", tensor, round_channels(hidden // 4))
    tensor = b.conv_bn("project", tensor, channels, 1)
    if stride == 1 and incoming == channels:
        b.residual("residual", INPUT, tensor)


@block("bottleneck")
def bottleneck(
    b: GraphBuilder, *, channels: int, width: int, stride: int, groups: int, activation: str
) -> None:
    """ResNet-50's block: 1×1 reduce, 3×3, 1×1 expand, shortcut; ResNeXt's with ``groups`` > 1.

    The stride is on the 3×3 convolution; the shortcut is a 1×1 convolution
    where the shape changes.
    """
    tensor = b.conv_bn("reduce", INPUT, width, 1, activation=activation)
    tensor = b.conv_bn("spatial", tensor, width, 3, stride, groups, activation)
    tensor = b.conv_bn("expand", tensor, channels, 1)
    shortcut = INPUT
    if stride != 1 or b.shape()[0] != channels:
        shortcut = b.conv_bn("shortcut", INPUT, channels, 1, stride)
    tensor = b.residual("residual", tensor, shortcut)
    b.act("residual", tensor, activation)


@block("basic")
def basic(b: GraphBuilder, *, channels: int, kernel: int, stride: int, activation: str) -> None:
    """ResNet-18's block (He et al., 2016, figure 5 left): two k×k convolutions and a shortcut.

    The shortcut is a 1×1 convolution where the shape changes.
    """
    tensor = b.conv_bn("first", INPUT, channels, kernel, stride, activation=activation)
    tensor = b.conv_bn("second", tensor, channels, kernel)
    shortcut = INPUT
    if stride != 1 or b.shape()[0] != channels:
        shortcut = b.conv_bn("shortcut", INPUT, channels, 1, stride)
    tensor = b.residual("residual", tensor, shortcut)
    b.act("residual", tensor, activation)


@block("classifier")
def classifier(b: GraphBuilder, *, classes: int) -> None:
    """Global average pool and a linear layer."""
    tensor = b.add("pool", GlobalAveragePool(), INPUT)
    tensor = b.add("flatten", Flatten(), tensor)
    b.add("linear", Linear(classes), tensor)


@block("mobile_classifier")
def mobile_classifier(b: GraphBuilder, *, features: int, hidden: int, classes: int) -> None:
    """MobileNetV3's head: 1×1 convolution, pool, 1×1 convolution on one pixel, linear layer."""
    tensor = b.conv_bn("features", INPUT, features, 1, activation="hardswish")
    tensor = b.add("pool", GlobalAveragePool(), tensor)
    tensor = b.add("mix.conv", Conv2d(hidden, 1, bias=True), tensor)
    tensor = b.act("mix", tensor, "hardswish")
    tensor = b.add("flatten", Flatten(), tensor)
    b.add("linear", Linear(classes), tensor)


def round_channels(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of ``divisor`` that is at least ``divisor`` and 90 % of ``channels``.

    The rule by which the MobileNet family keeps channel counts friendly to
    vector units.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor
