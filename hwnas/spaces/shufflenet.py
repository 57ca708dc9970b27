"""ShuffleNetV2's unit, and the space of networks made of it."""

from collections.abc import Sequence

from hwnas.errors import SpecError
from hwnas.spaces.architecture import PlacedBlock
from hwnas.spaces.blocks import block
from hwnas.spaces.chain import place, reference
from hwnas.spaces.channel_layers import ChannelPart, ChannelShuffle, Concat
from hwnas.spaces.graph import INPUT, GraphBuilder
from hwnas.spaces.layers import Shape
from hwnas.spaces.space import SearchSpace
from hwnas.spaces.staged import Place, Stage, staged

DIVISOR = 4
"""Both halves of the channels are even."""


@block("shuffle_unit")
def shuffle_unit(
    b: GraphBuilder, *, channels: int, kernel: int, stride: int, activation: str
) -> None:
    """ShuffleNetV2's unit (Ma et al., 2018, figure 3c, d): two branches, concat, shuffle.

    At stride 1 one half of the channels passes as it is; at another stride both
    branches receive all of them and shrink the image.
    """
    if channels % 2:
        raise SpecError(f"shuffle unit: channels must be even, received {channels}")
    incoming, half = b.shape()[0], channels // 2
    if stride == 1:
        if incoming != channels:
            raise SpecError(
                f"shuffle unit: stride 1 keeps the channels, received {incoming} for {channels}"
            )
        left = b.add("left.half", ChannelPart(0, 2), INPUT)
        right = b.add("right.half", ChannelPart(1, 2), INPUT)
    else:
        left = b.conv_bn("left.depthwise", INPUT, incoming, kernel, stride, incoming)
        left = b.conv_bn("left.pointwise", left, half, 1, activation=activation)
        right = INPUT
    right = b.conv_bn("right.reduce", right, half, 1, activation=activation)
    right = b.conv_bn("right.depthwise", right, half, kernel, stride, half)
    right = b.conv_bn("right.pointwise", right, half, 1, activation=activation)
    b.add("shuffle", ChannelShuffle(2), b.add("concat", Concat(), left, right))


def shufflenet(
    name: str,
    *,
    image_size: int,
    classes: int,
    input_channels: int = 3,
    widths: Sequence[float],
    resolutions: Sequence[float] = (0.75, 0.875, 1.0),
    stem: tuple[int, bool],
    stages: Sequence[tuple[int, tuple[int, ...]]],
    kernels: Sequence[int] = (3, 5, 7),
    features: int,
) -> SearchSpace:
    """The space of ShuffleNetV2-like networks for an image size and a number of classes.

    A stem, stages of shuffle units of which the first has stride 2, a 1×1
    convolution, a linear classifier. Elastic: resolution, width of the whole
    network, per stage the depth, and per unit the kernel, as in Single Path One
    Shot (Guo et al., 2020).

    Args:
        name: Name of the space.
        image_size: Largest image size, pixels.
        classes: Number of classes.
        input_channels: Channels of the images.
        widths: Multipliers of all channel counts but that of the last convolution.
        resolutions: Multipliers of the image size.
        stem: Channels, and whether a max pool follows; with the pool, the
            convolution has stride 2.
        stages: Channels and possible depths of each stage.
        kernels: Depthwise kernel sizes.
        features: Channels of the last convolution.

    Raises:
        SpecError: The image is too small for the strides, or a value is out of range.
    """
    channels, pooled = stem

    def first(shape: Shape, channels: int) -> PlacedBlock:
        return place(
            "conv_pool" if pooled else "conv",
            shape,
            channels=channels,
            kernel=3,
            stride=2 if pooled else 1,
            activation="relu",
        )

    def unit(where: Place, kernel: int) -> PlacedBlock:
        return place(
            "shuffle_unit",
            where.input_shape,
            channels=where.channels,
            kernel=kernel,
            stride=where.stride,
            activation="relu",
        )

    def last(shape: Shape, width: float) -> PlacedBlock:
        return place(
            "conv",
            shape,
            channels=features,
            kernel=1,
            stride=1,
            activation="relu",
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
        stem=channels,
        stem_strides=(2, 2) if pooled else (1,),
        stages=[Stage(own, 2, depths, {"kernel": tuple(kernels)}) for own, depths in stages],
        divisor=DIVISOR,
        first=first,
        block=unit,
        tail={"features": last, "head": head},
    )
    space.references["shufflenetv2-like"] = reference(space)
    return space
