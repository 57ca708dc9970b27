"""A MobileNet-like chain: V2's and V3's inverted bottlenecks with everything elastic."""

from collections.abc import Sequence
from functools import partial

from hwnas.spaces.architecture import PlacedBlock
from hwnas.spaces.blocks import round_channels
from hwnas.spaces.chain import check_classes, image_sizes, place, reference, side_after
from hwnas.spaces.space import Choice, SearchSpace, Slot


def mobilenet(
    name: str,
    *,
    image_size: int,
    classes: int,
    input_channels: int = 3,
    widths: Sequence[float],
    resolutions: Sequence[float] = (0.75, 0.875, 1.0),
    stem: tuple[int, int],
    stages: Sequence[tuple[int, int]],
    depths: Sequence[int],
    kernels: Sequence[int] = (3, 5, 7),
    expansions: Sequence[int] = (3, 4, 6),
    features: int,
    hidden: int,
) -> SearchSpace:
    """The space of MobileNet-like networks for an image size and a number of classes.

    A stem, a depthwise-separable block, stages of inverted bottlenecks, a head.
    Elastic: resolution, width of the whole network, and per stage the depth and
    squeeze-excite, per block the kernel and the expansion. The activation is
    ReLU in the first half and hard swish in the second, as in MobileNetV3
    (Howard et al., 2019, table 1).

    Args:
        name: Name of the space.
        image_size: Largest image size, pixels.
        classes: Number of classes.
        input_channels: Channels of the images.
        widths: Multipliers of all channel counts.
        resolutions: Multipliers of the image size.
        stem: Channels and stride of the first convolution.
        stages: Channels and stride of each stage.
        depths: Numbers of blocks that a stage can have.
        kernels: Depthwise kernel sizes.
        expansions: Ratios of hidden to incoming channels.
        features: Channels of the last convolution, at width 1.
        hidden: Width of the layer before the classes.

    Raises:
        SpecError: The image is too small for the strides, or a value is out of range.
    """
    strides = (stem[1], *(stride for _, stride in stages))
    sizes = image_sizes(name, image_size, resolutions, strides)
    check_classes(name, classes)

    choices = [
        Choice("resolution", tuple(sizes)),
        Choice("width", tuple(widths)),
    ]
    slots: list[Slot] = []

    def first(size: int, width: float) -> PlacedBlock:
        return place(
            "conv",
            (input_channels, size, size),
            channels=round_channels(stem[0] * width),
            kernel=3,
            stride=stem[1],
            activation="hardswish",
        )

    def separable(size: int, width: float) -> PlacedBlock:
        channels, side = round_channels(stem[0] * width), side_after(size, strides[:1])
        return place(
            "depthwise_separable",
            (channels, side, side),
            channels=channels,
            kernel=3,
            stride=1,
            activation="relu",
        )

    def inverted(
        stage: int,
        position: int,
        size: int,
        width: float,
        depth: int,
        kernel: int,
        expansion: int,
        squeeze: bool,
    ) -> PlacedBlock | None:
        if position >= depth:
            return None
        # A stage's first block has its stride; the others receive what that one gives.
        side = side_after(size, strides[: stage + 1 + (position > 0)])
        before = stem[0] if stage == 0 else stages[stage - 1][0]
        own, stride = stages[stage]
        if position > 0:
            before = own
        return place(
            "inverted_bottleneck",
            (round_channels(before * width), side, side),
            channels=round_channels(own * width),
            kernel=kernel,
            stride=stride if position == 0 else 1,
            expansion=expansion,
            squeeze_excite=bool(squeeze),
            activation="relu" if stage < (len(stages) + 1) // 2 else "hardswish",
        )

    def head(size: int, width: float) -> PlacedBlock:
        side = side_after(size, strides)
        return place(
            "mobile_classifier",
            (round_channels(stages[-1][0] * width), side, side),
            features=round_channels(features * width),
            hidden=hidden,
            classes=classes,
        )

    slots.append(Slot("stem", (0, 1), first))
    slots.append(Slot("separable", (0, 1), separable))
    for stage in range(len(stages)):
        depth = len(choices)
        choices.append(Choice(f"stage{stage + 1}.depth", tuple(depths)))
        squeeze = len(choices)
        choices.append(Choice(f"stage{stage + 1}.squeeze_excite", (False, True)))
        for position in range(max(depths)):
            active_from = next(i for i, value in enumerate(depths) if value > position)
            kernel = len(choices)
            label = f"stage{stage + 1}.block{position + 1}"
            choices.append(Choice(f"{label}.kernel", tuple(kernels), depth, active_from))
            choices.append(Choice(f"{label}.expansion", tuple(expansions), depth, active_from))
            slots.append(
                Slot(
                    label,
                    (0, 1, depth, kernel, kernel + 1, squeeze),
                    partial(inverted, stage, position),
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
    space.references["mobilenetv2-like"] = reference(space, kernel=lambda _: 3, expansion=max)
    return space
