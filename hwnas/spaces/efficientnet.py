"""EfficientNet's block, and the space of networks made of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from hwnas.errors import SpecError
from hwnas.spaces.architecture import PlacedBlock
from hwnas.spaces.blocks import block, round_channels
from hwnas.spaces.chain import place, reference
from hwnas.spaces.graph import INPUT, GraphBuilder
from hwnas.spaces.layers import Shape
from hwnas.spaces.space import SearchSpace
from hwnas.spaces.staged import Place, Stage, staged

SQUEEZED = ("input", "hidden")


@block("mbconv")
def mbconv(
    b: GraphBuilder,
    *,
    channels: int,
    kernel: int,
    stride: int,
    expansion: int,
    squeeze: int,
    squeeze_from: str,
    activation: str,
) -> None:
    """EfficientNet's block (Tan and Le, 2019): an inverted bottleneck whose gate is a sigmoid.

    Squeeze-excite has one in ``squeeze`` of the channels that the block receives
    (``squeeze_from="input"``, as EfficientNet has it) or of the expanded ones
    (``"hidden"``); there is none where ``squeeze`` is 0.
    """
    squeezed = _squeezed("mbconv", b, expansion, squeeze, squeeze_from)
    incoming = b.shape()[0]
    hidden = incoming * expansion
    tensor = INPUT
    if expansion > 1:
        tensor = b.conv_bn("expand", tensor, hidden, 1, activation=activation)
    tensor = b.conv_bn("depthwise", tensor, hidden, kernel, stride, hidden, activation)
    if squeezed:
        tensor = b.squeeze_excite("se", tensor, squeezed, activation, "sigmoid")
    tensor = b.conv_bn("project", tensor, channels, 1)
    if stride == 1 and incoming == channels:
        b.residual("residual", INPUT, tensor)


@block("fused_inverted_bottleneck")
def fused_inverted_bottleneck(
    b: GraphBuilder,
    *,
    channels: int,
    kernel: int,
    stride: int,
    expansion: int,
    squeeze: int,
    squeeze_from: str,
    activation: str,
) -> None:
    """EfficientNetV2's block (Tan and Le, 2021, figure 2): one k×k convolution expands.

    It takes the place of ``mbconv``'s 1×1 and depthwise convolutions, and
    the arguments are those of ``mbconv``. With ``expansion`` 1 there is nothing to
    project: one k×k convolution with activation is the block.
    """
    squeezed = _squeezed("fused_inverted_bottleneck", b, expansion, squeeze, squeeze_from)
    incoming, tensor = b.shape()[0], INPUT
    if expansion > 1:
        hidden = incoming * expansion
        tensor = b.conv_bn("expand", tensor, hidden, kernel, stride, activation=activation)
    if squeezed:
        tensor = b.squeeze_excite("se", tensor, squeezed, activation, "sigmoid")
    if expansion > 1:
        tensor = b.conv_bn("project", tensor, channels, 1)
    else:
        tensor = b.conv_bn("conv", tensor, channels, kernel, stride, activation=activation)
    if stride == 1 and incoming == channels:
        b.residual("residual", INPUT, tensor)


def _squeezed(kind: str, b: GraphBuilder, expansion: int, squeeze: int, squeeze_from: str) -> int:
    """Channels between squeeze and excite; 0 where there is none."""
    if squeeze_from not in SQUEEZED:
        raise SpecError(
            f"{kind}: squeeze_from must be one of {', '.join(SQUEEZED)}, received '{squeeze_from}'"
        )
    if squeeze < 0:
        raise SpecError(f"{kind}: squeeze must be 0 or more, received {squeeze}")
    if not squeeze:
        return 0
    incoming = b.shape()[0]
    return max(1, (incoming if squeeze_from == "input" else incoming * expansion) // squeeze)


@dataclass(frozen=True)
class MBStage:
    """A stage of blocks ``mbconv``, or of ``fused_inverted_bottleneck``.

    Args:
        channels: Channels at width 1.
        stride: Stride of the first block.
        depths: Numbers of blocks that it can have, ascending.
        kernels: Depthwise kernel sizes; EfficientNet-B0's first.
        expansion: Ratio of hidden to incoming channels.
        fused: Where given, whether the blocks are fused, once for the stage; fused
            ones have no squeeze-excite, as in EfficientNetV2.
    """

    channels: int
    stride: int
    depths: tuple[int, ...]
    kernels: tuple[int, ...]
    expansion: int = 6
    fused: tuple[bool, ...] = ()


def efficientnet(
    name: str,
    *,
    image_size: int,
    classes: int,
    input_channels: int = 3,
    widths: Sequence[float],
    resolutions: Sequence[float] = (0.75, 0.875, 1.0),
    stem: tuple[int, int],
    stages: Sequence[MBStage],
    features: int,
    squeeze: int = 4,
    squeeze_from: str = "input",
    label: str = "efficientnet-b0-like",
) -> SearchSpace:
    """The space of EfficientNet-like networks for an image size and a number of classes.

    A stem, stages of inverted bottlenecks with squeeze-excite, a 1×1
    convolution, a linear classifier; the activation is SiLU (Tan and Le, 2019,
    table 1). Elastic: resolution, width of the whole network, per stage the
    depth and, where a stage offers it, whether its blocks are fused, and per block
    the kernel.

    Args:
        name: Name of the space.
        image_size: Largest image size, pixels.
        classes: Number of classes.
        input_channels: Channels of the images.
        widths: Multipliers of all channel counts.
        resolutions: Multipliers of the image size.
        stem: Channels and stride of the first convolution.
        stages: The stages.
        features: Channels of the last convolution, at width 1.
        squeeze: Which fraction of the channels squeeze-excite has; 0 for none.
        squeeze_from: Of which channels, ``"input"`` or ``"hidden"``.
        label: Name of the reference, the network of first values.

    Raises:
        SpecError: The image is too small for the strides, or a value is out of range.
    """

    def first(shape: Shape, channels: int) -> PlacedBlock:
        return place("conv", shape, channels=channels, kernel=3, stride=stem[1], activation="silu")

    def inverted(where: Place, kernel: int, fused: bool = False) -> PlacedBlock:
        return place(
            "fused_inverted_bottleneck" if fused else "mbconv",
            where.input_shape,
            channels=where.channels,
            kernel=kernel,
            stride=where.stride,
            expansion=stages[where.stage].expansion,
            squeeze=0 if fused else squeeze,
            squeeze_from=squeeze_from,
            activation="silu",
        )

    def last(shape: Shape, width: float) -> PlacedBlock:
        return place(
            "conv",
            shape,
            channels=round_channels(features * width),
            kernel=1,
            stride=1,
            activation="silu",
        )

    def head(shape: Shape, width: float) -> PlacedBlock:
        return place("classifier", shape, classes=classes)

    space = staged(
        name,
        image_size=image_size,
        classes=classes,
        input_channels=input_channels,
        widths=widths,
        resolutions=resolutions,
        stem=stem[0],
        stem_strides=(stem[1],),
        stages=[
            Stage(
                stage.channels,
                stage.stride,
                stage.depths,
                {"kernel": stage.kernels},
                {"fused": stage.fused} if stage.fused else {},
            )
            for stage in stages
        ],
        divisor=8,
        first=first,
        block=inverted,
        tail={"features": last, "head": head},
    )
    space.references[label] = reference(space)
    return space
