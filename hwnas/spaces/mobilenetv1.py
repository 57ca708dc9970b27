"""A MobileNetV1-like chain: depthwise-separable blocks only."""

from collections.abc import Sequence

from hwnas.spaces.architecture import PlacedBlock
from hwnas.spaces.chain import place, reference
from hwnas.spaces.layers import Shape
from hwnas.spaces.space import SearchSpace
from hwnas.spaces.staged import Place, Stage, staged


def mobilenetv1(
    name: str,
    *,
    image_size: int,
    classes: int,
    input_channels: int = 3,
    widths: Sequence[float],
    resolutions: Sequence[float] = (0.75, 0.875, 1.0),
    stem: tuple[int, int],
    stages: Sequence[tuple[int, int, tuple[int, ...]]],
) -> SearchSpace:
    """The space of MobileNetV1-like networks for an image size and a number of classes.

    A stem, stages of depthwise-separable blocks, a linear classifier (Howard et
    al., 2017, table 1). Elastic: resolution, width of the whole network, and per
    stage the depth.

    Args:
        name: Name of the space.
        image_size: Largest image size, pixels.
        classes: Number of classes.
        input_channels: Channels of the images.
        widths: Multipliers of all channel counts.
        resolutions: Multipliers of the image size.
        stem: Channels and stride of the first convolution.
        stages: Channels, stride and possible depths of each stage.

    Raises:
        SpecError: The image is too small for the strides, or a value is out of range.
    """

    def first(shape: Shape, channels: int) -> PlacedBlock:
        return place("conv", shape, channels=channels, kernel=3, stride=stem[1], activation="relu")

    def separable(where: Place) -> PlacedBlock:
        return place(
            "depthwise_separable",
            where.input_shape,
            channels=where.channels,
            kernel=3,
            stride=where.stride,
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
        stem=stem[0],
        stem_strides=(stem[1],),
        stages=[Stage(*stage) for stage in stages],
        divisor=8,
        first=first,
        block=separable,
        tail={"head": head},
    )
    space.references["mobilenetv1-like"] = reference(space)
    return space
