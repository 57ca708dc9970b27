"""Spaces that are a stem, stages of one kind of block, and a head, as most families are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from hwnas.spaces.architecture import PlacedBlock
from hwnas.spaces.blocks import round_channels
from hwnas.spaces.chain import check_classes, image_sizes, side_after
from hwnas.spaces.layers import Shape
from hwnas.spaces.space import Choice, SearchSpace, Slot, Value


@dataclass(frozen=True)
class Stage:
    """A run of blocks of which the first has a stride.

    Args:
        channels: Channels at width 1.
        stride: Stride of the first block.
        depths: Numbers of blocks that it can have, ascending.
        options: What can be chosen for each block, by name.
        shared: What can be chosen once for all blocks of the stage, by name.
    """

    channels: int
    stride: int
    depths: tuple[int, ...]
    options: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    shared: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a block of a stage stands.

    Args:
        stage: Position of the stage.
        position: Position in the stage.
        input_shape: What the block receives, ``(channels, height, width)``.
        channels: What it gives.
        stride: Its stride.
    """

    stage: int
    position: int
    input_shape: Shape
    channels: int
    stride: int


def staged(
    name: str,
    *,
    image_size: int,
    classes: int,
    input_channels: int,
    widths: Sequence[float],
    resolutions: Sequence[float],
    stem: int,
    stem_strides: Sequence[int],
    stages: Sequence[Stage],
    divisor: int,
    first: Callable[[Shape, int], PlacedBlock],
    block: Callable[..., PlacedBlock],
    tail: Mapping[str, Callable[[Shape, float], PlacedBlock]],
    down: Callable[[Shape, int, int], PlacedBlock] | None = None,
    multiple: int = 1,
) -> SearchSpace:
    """A space that is elastic in resolution, width, depth of each stage, and options of each block.

    Args:
        name: Name of the space.
        image_size: Largest image size, pixels.
        classes: Number of classes.
        input_channels: Channels of the images.
        widths: Multipliers of all channel counts.
        resolutions: Multipliers of the image size.
        stem: Channels of the first block at width 1.
        stem_strides: Strides of the layers of the first block.
        stages: The stages.
        divisor: What channel counts are multiples of.
        first: The first block, from the image's shape and the block's channels.
        block: A block of a stage, from its :class:`Place` and the options by name.
        tail: The blocks behind the stages by name, from the shape that they
            receive and the width.
        down: Where given, stages that change the shape begin with this block, from
            the shape that it receives, the stage's channels and its stride; the
            others then all have stride 1.
        multiple: What image sizes are rounded down to multiples of.

    Raises:
        SpecError: The image is too small for the strides, or a value is out of range.
    """
    strides = (*stem_strides, *(stage.stride for stage in stages))
    sizes = image_sizes(name, image_size, resolutions, strides, multiple)
    check_classes(name, classes)
    counts = (stem, *(stage.channels for stage in stages))

    def shape(size: int, width: float, done: int) -> Shape:
        """What the first block and ``done`` stages give."""
        side = side_after(size, strides[: len(stem_strides) + done])
        return (round_channels(counts[done] * width, divisor), side, side)

    def begin(size: int, width: float) -> PlacedBlock:
        return first((input_channels, size, size), round_channels(stem * width, divisor))

    def inner(
        stage: int, position: int, size: int, width: float, depth: int, *options: Value
    ) -> PlacedBlock | None:
        if position >= depth:
            return None
        place = Place(
            stage,
            position,
            shape(size, width, stage + (position > 0 or down is not None)),
            round_channels(stages[stage].channels * width, divisor),
            1 if position or down is not None else stages[stage].stride,
        )
        names = (*stages[stage].shared, *stages[stage].options)
        return block(place, **dict(zip(names, options, strict=True)))

    def enter(stage: int, size: int, width: float) -> PlacedBlock:
        assert down is not None
        channels = round_channels(stages[stage].channels * width, divisor)
        return down(shape(size, width, stage), channels, stages[stage].stride)

    def end(position: int, size: int, width: float) -> PlacedBlock:
        received = shape(size, width, len(stages))
        *before, own = tuple(tail.values())[: position + 1]
        for make in before:
            received = make(received, width).graph.output_shape
        return own(received, width)

    choices = [Choice("resolution", tuple(sizes)), Choice("width", tuple(widths))]
    slots = [Slot("stem", (0, 1), begin)]
    for index, stage in enumerate(stages):
        depth = len(choices)
        choices.append(Choice(f"stage{index + 1}.depth", stage.depths))
        shared = range(len(choices), len(choices) + len(stage.shared))
        choices += [
            Choice(f"stage{index + 1}.{option}", values) for option, values in stage.shared.items()
        ]
        if down is not None and (stage.stride, stage.channels) != (1, counts[index]):
            slots.append(Slot(f"stage{index + 1}.down", (0, 1), partial(enter, index)))
        for position in range(max(stage.depths)):
            active_from = next(i for i, value in enumerate(stage.depths) if value > position)
            label = f"stage{index + 1}.block{position + 1}"
            own = range(len(choices), len(choices) + len(stage.options))
            choices += [
                Choice(f"{label}.{option}", values, depth, active_from)
                for option, values in stage.options.items()
            ]
            deciding = (0, 1, depth, *shared, *own)
            slots.append(Slot(label, deciding, partial(inner, index, position)))
    slots += [Slot(label, (0, 1), partial(end, position)) for position, label in enumerate(tail)]
    return SearchSpace(
        name,
        choices,
        slots,
        input_channels=input_channels,
        image_sizes=sizes,
        resolution=0,
        classes=classes,
    )
