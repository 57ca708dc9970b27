"""What the built-in spaces share: chains that shrink an image, elastic in size, width and depth."""

import math
from collections.abc import Callable, Iterable, Sequence

from hwnas.errors import SpecError
from hwnas.spaces.architecture import PlacedBlock
from hwnas.spaces.blocks import Argument, BlockSpec
from hwnas.spaces.layers import Shape
from hwnas.spaces.space import SearchSpace, Value

MOST_PIXELS = 4096
MOST_CLASSES = 1_000_000

Pick = Callable[[tuple[Value, ...]], Value]


def place(kind: str, shape: Shape, **arguments: Argument) -> PlacedBlock:
    """A block of a kind on the shape that it receives, ``(channels, height, width)``."""
    return PlacedBlock(BlockSpec.of(kind, **arguments), shape)


def side_after(size: int, strides: Iterable[int]) -> int:
    """Height and width, in pixels, of a square image after layers of these strides."""
    for stride in strides:
        size = -(-size // stride)
    return size


def image_sizes(
    name: str,
    image_size: int,
    resolutions: Sequence[float],
    strides: Sequence[int],
    multiple: int = 1,
) -> list[int]:
    """The sizes in which a space takes its images, pixels.

    Args:
        name: Name of the space, for the error.
        image_size: The size at resolution 1, pixels.
        resolutions: Multipliers of it.
        strides: Strides of all layers from the image to the classifier.
        multiple: What sizes are rounded down to multiples of; those that become
            equal are one.

    Raises:
        SpecError: A multiplier is not positive, or the smallest image has fewer
            pixels than the strides divide it by.
    """
    if not 1 <= image_size <= MOST_PIXELS:
        raise SpecError(
            f"space '{name}': image_size must be from 1 to {MOST_PIXELS}, received {image_size}"
        )
    smallest = min(resolutions)
    if smallest <= 0:
        raise SpecError(f"space '{name}': resolutions must be above 0, received {smallest}")
    sizes = [max(1, round(image_size * ratio)) for ratio in resolutions]
    shrinks = math.prod(strides)
    if min(sizes) < shrinks:
        least = math.ceil((shrinks - 0.5) / smallest)
        # Halves are rounded to the even number, up or down.
        least += round(least * smallest) < shrinks
        raise SpecError(
            f"space '{name}': images of {min(sizes)} pixels are too small for a network that "
            f"shrinks them {shrinks} times; image_size must be at least {least}"
        )
    if multiple > 1:
        sizes = sorted({size // multiple * multiple for size in sizes})
    return sizes


def check_classes(name: str, classes: int) -> None:
    """Refuse a space that tells nothing apart.

    Raises:
        SpecError: There are fewer than two classes.
    """
    if not 2 <= classes <= MOST_CLASSES:
        raise SpecError(
            f"space '{name}': classes must be from 2 to {MOST_CLASSES:,}, received {classes}"
        )


def reference(space: SearchSpace, **picks: Pick) -> tuple[int, ...]:
    """The genotype of the network that people know best among those of a space.

    Full resolution, width 1 (the largest where there is no 1), and the middle
    of the depths.

    Args:
        space: The space; its choices are named ``part`` or ``stage.part``.
        picks: By the part, which of a choice's values is meant. Choices without
            one have their first value.
    """
    wanted: dict[str, Pick] = {
        "resolution": max,
        "width": lambda values: 1.0 if 1.0 in values else max(values),
        "depth": lambda values: sorted(values)[len(values) // 2],
        **picks,
    }
    values = {}
    for choice in space.choices:
        part = choice.name.rpartition(".")[2]
        if part in wanted:
            values[choice.name] = wanted[part](choice.values)
    return space.encode(values)
