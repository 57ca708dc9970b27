"""A ResNet-like chain: bottleneck and ResNeXt blocks."""

from collections.abc import Sequence
from functools import partial

from hwnas.spaces.architecture import PlacedBlock
from hwnas.spaces.blocks import round_channels
from hwnas.spaces.chain import check_classes, image_sizes, place, reference, side_after
from hwnas.spaces.space import Choice, SearchSpace, Slot


def resnet(
    name: str,
    *,
    image_size: int,
    classes: int,
    input_channels: int = 3,
    widths: Sequence[float],
    resolutions: Sequence[float] = (0.75, 0.875, 1.0),
    stem: tuple[int, int, bool],
    stages: Sequence[tuple[int, int]],
    depths: Sequence[int],
    ratios: Sequence[float] = (0.25, 0.5),
    groups: Sequence[int] = (1, 8),
) -> SearchSpace:
    """The space of ResNet-like networks for an image size and a number of classes.

    A stem, stages of bottlenecks, a linear classifier. Elastic: resolution,
    width of the whole network, and per stage the depth, the ratio of the
    bottleneck, and the number of groups of its 3×3 convolution (1 is ResNet,
    more is ResNeXt).

    Args:
        name: Name of the space.
        image_size: Largest image size, pixels.
        classes: Number of classes.
        input_channels: Channels of the images.
        widths: Multipliers of all channel counts.
        resolutions: Multipliers of the image size.
        stem: Channels, kernel size and whether a max pool follows; with the
            pool, the convolution has stride 2.
        stages: Channels and stride of each stage.
        depths: Numbers of blocks that a stage can have.
        ratios: Ratios of the bottleneck's width to the stage's channels.
        groups: Numbers of groups.

    Raises:
        SpecError: The image is too small for the strides, or a value is out of range.
    """
    stem_channels, stem_kernel, pooled = stem
    stem_strides = (2, 2) if pooled else ()
    strides = (*stem_strides, *(stride for _, stride in stages))
    sizes = image_sizes(name, image_size, resolutions, strides)
    check_classes(name, classes)

    choices = [Choice("resolution", tuple(sizes)), Choice("width", tuple(widths))]
    slots: list[Slot] = []

    def side_before(size: int, stage: int) -> int:
        return side_after(size, strides[: len(stem_strides) + stage])

    def first(size: int, width: float) -> PlacedBlock:
        return place(
            "conv_pool" if pooled else "conv",
            (input_channels, size, size),
            channels=round_channels(stem_channels * width),
            kernel=stem_kernel,
            stride=2 if pooled else 1,
            activation="relu",
        )

    def residual(
        stage: int, position: int, size: int, width: float, depth: int, ratio: float, group: int
    ) -> PlacedBlock | None:
        if position >= depth:
            return None
        own, stride = stages[stage]
        side = side_before(size, stage if position == 0 else stage + 1)
        before = own if position else (stem_channels if stage == 0 else stages[stage - 1][0])
        channels = round_channels(own * width)
        return place(
            "bottleneck",
            (round_channels(before * width), side, side),
            channels=channels,
            width=round_channels(channels * ratio, max(8, group)),
            stride=stride if position == 0 else 1,
            groups=group,
            activation="relu",
        )

    def head(size: int, width: float) -> PlacedBlock:
        side = side_before(size, len(stages))
        return place(
            "classifier", (round_channels(stages[-1][0] * width), side, side), classes=classes
        )

    slots.append(Slot("stem", (0, 1), first))
    for stage in range(len(stages)):
        depth = len(choices)
        choices.append(Choice(f"stage{stage + 1}.depth", tuple(depths)))
        choices.append(Choice(f"stage{stage + 1}.ratio", tuple(ratios)))
        choices.append(Choice(f"stage{stage + 1}.groups", tuple(groups)))
        for position in range(max(depths)):
            slots.append(
                Slot(
                    f"stage{stage + 1}.block{position + 1}",
                    (0, 1, depth, depth + 1, depth + 2),
                    partial(residual, stage, position),
                )
            )
    slots.append(Slot("head", (0, 1), head))

    space = SearchSpace(
        name,
        choices,
        slots,
        input_channels=input_channels,
        image_sizes=sizes,
        resolution=0,
        classes=classes,
    )
    space.references["resnet-like"] = reference(space)
    return space
