"""A space small enough to be trained to the last architecture: three block families in turn."""

from collections.abc import Sequence
from functools import partial

from hwnas.spaces.architecture import PlacedBlock
from hwnas.spaces.blocks import round_channels
from hwnas.spaces.chain import check_classes, image_sizes, place, reference, side_after
from hwnas.spaces.layers import Shape
from hwnas.spaces.space import Choice, SearchSpace, Slot, Value

FAMILIES = ("depthwise", "resnext", "bottleneck")
"""MobileNet's depthwise-separable block, ResNeXt's and ResNet-50's bottleneck."""

SKIP = "skip"
GROUPS = 8
DIVISOR = 4


def micro(
    name: str,
    *,
    image_size: int,
    classes: int,
    input_channels: int = 1,
    resolutions: Sequence[float] = (0.5, 1.0),
    widths: Sequence[float] = (0.25, 1.0),
    stem: int = 16,
    stages: Sequence[int] = (16, 32, 32, 64),
) -> SearchSpace:
    """The space of small networks of which ``data/micro`` knows every one.

    A stem of stride 2, a block per stage, a linear classifier. Elastic: the
    resolution, the width of the whole network, and per stage the family of its
    block. A stage with the channels of the one before, but for the first, can
    also be left out; those with other channels have stride 2.

    Args:
        name: Name of the space.
        image_size: Largest image size, pixels.
        classes: Number of classes.
        input_channels: Channels of the images.
        resolutions: Multipliers of the image size.
        widths: Multipliers of all channel counts.
        stem: Channels of the stem.
        stages: Channels of each stage.

    Raises:
        SpecError: The image is too small for the strides, or a value is out of range.
    """
    before = (stem, *stages)
    strides = (2, *(1 if own == prior else 2 for prior, own in zip(before, stages, strict=False)))
    sizes = image_sizes(name, image_size, resolutions, strides)
    check_classes(name, classes)

    def shape(stage: int, size: int, width: float) -> Shape:
        side = side_after(size, strides[: stage + 1])
        return (round_channels(before[stage] * width, DIVISOR), side, side)

    def first(size: int, width: float) -> PlacedBlock:
        return place(
            "conv",
            (input_channels, size, size),
            channels=round_channels(stem * width, DIVISOR),
            kernel=3,
            stride=2,
            activation="relu",
        )

    def own(stage: int, size: int, width: float, family: str) -> PlacedBlock | None:
        if family == SKIP:
            return None
        channels, stride = round_channels(stages[stage] * width, DIVISOR), strides[stage + 1]
        received = shape(stage, size, width)
        if family == "depthwise":
            return place(
                "depthwise_separable",
                received,
                channels=channels,
                kernel=3,
                stride=stride,
                activation="relu",
            )
        # As in the papers: half the channels, or all of them in groups.
        grouped = family == "resnext"
        return place(
            "bottleneck",
            received,
            channels=channels,
            width=round_channels(channels, GROUPS)
            if grouped
            else round_channels(channels / 2, DIVISOR),
            stride=stride,
            groups=GROUPS if grouped else 1,
            activation="relu",
        )

    def head(size: int, width: float) -> PlacedBlock:
        return place("classifier", shape(len(stages), size, width), classes=classes)

    choices = [Choice("resolution", tuple(sizes)), Choice("width", tuple(widths))]
    slots = [Slot("stem", (0, 1), first)]
    for stage in range(len(stages)):
        families = FAMILIES if stage == 0 or strides[stage + 1] > 1 else (SKIP, *FAMILIES)
        slots.append(Slot(f"stage{stage + 1}", (0, 1, len(choices)), partial(own, stage)))
        choices.append(Choice(f"stage{stage + 1}.family", families))
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
    for family in FAMILIES:
        space.references[f"{family}-micro"] = reference(space, family=partial(_always, family))
    return space


def _always(wanted: Value, _: tuple[Value, ...]) -> Value:
    return wanted
