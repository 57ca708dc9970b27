"""The space of NAS-Bench-201: one cell, repeated, of which every genotype is known."""

from collections.abc import Sequence
from functools import cache, partial

from hwnas.errors import SpecError
from hwnas.spaces.architecture import PlacedBlock
from hwnas.spaces.cell import (
    EDGES,
    OPERATIONS,
    arch_str,
    is_identity,
    live,
    operations_of,
    reads_activated,
)
from hwnas.spaces.chain import check_classes, image_sizes, place, side_after
from hwnas.spaces.space import Choice, SearchSpace, Slot

STAGES = 3
REFERENCES = {
    "resnet": "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|",
    "all-conv-3x3": (
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+"
        "|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    ),
}


def genotype_of(text: str) -> tuple[int, ...]:
    """The genotype of an architecture string, six genes.

    Raises:
        SpecError: The text does not name a cell.
    """
    return tuple(OPERATIONS.index(operation) for operation in operations_of(text))


def arch_str_of(genotype: Sequence[int]) -> str:
    """The architecture string of a genotype, as the benchmark writes it.

    Raises:
        SpecError: It has not six genes, or one is out of range.
    """
    for gene in genotype:
        if not 0 <= gene < len(OPERATIONS):
            raise SpecError(f"a gene must be 0 to {len(OPERATIONS) - 1}, received {gene}")
    return arch_str([OPERATIONS[gene] for gene in genotype])


def nasbench201(
    name: str,
    *,
    image_size: int,
    classes: int,
    input_channels: int = 3,
    channels: int = 16,
    cells: int = 5,
) -> SearchSpace:
    """The space of NAS-Bench-201 (Dong and Yang, 2020): 15,625 genotypes.

    A stem, three stages of one cell repeated, a residual block between stages
    that halves the image and doubles the channels, a linear classifier. Blocks
    hold what is live only, so that genotypes with the same live edges give one
    architecture; a cell that gives what it receives is left out. (The benchmark's
    own counts of parameters and operations include dead edges.)

    Args:
        name: Name of the space.
        image_size: Image size, pixels; a multiple of four.
        classes: Number of classes.
        input_channels: Channels of the images.
        channels: Channels of the first stage.
        cells: Cells of each stage.

    Raises:
        SpecError: The image size is not a multiple of four, or a value is out of range.
    """
    strides = (2,) * (STAGES - 1)
    (size,) = image_sizes(name, image_size, (1.0,), strides)
    if size % 2 ** len(strides):
        raise SpecError(
            f"space '{name}': image_size must be a multiple of {2 ** len(strides)}, received {size}"
        )
    check_classes(name, classes)

    def side(stage: int) -> int:
        return side_after(size, strides[:stage])

    def behind(operations: tuple[str, ...]) -> str:
        """The tail of a block that a cell stands behind."""
        return "relu" if reads_activated(operations) else "none"

    # All cells of a stage but its last are one block, which is made once.
    @cache
    def cell(stage: int, last: bool, operations: tuple[str, ...]) -> PlacedBlock | None:
        tail = behind(operations)
        if last:
            tail = "bn_relu" if stage == STAGES - 1 else "none"
        if tail == "none" and is_identity(operations):
            return None
        return place(
            "nasbench_cell",
            (channels * 2**stage, side(stage), side(stage)),
            arch=arch_str(live(operations)),
            activated=reads_activated(operations),
            tail=tail,
        )

    def first(*operations: str) -> PlacedBlock:
        return place(
            "conv",
            (input_channels, size, size),
            channels=channels,
            kernel=3,
            stride=1,
            activation=behind(operations),
        )

    def inner(stage: int, last: bool, *operations: str) -> PlacedBlock | None:
        return cell(stage, last, operations)

    def reduction(stage: int, *operations: str) -> PlacedBlock:
        return place(
            "nasbench_reduction",
            (channels * 2 ** (stage - 1), side(stage - 1), side(stage - 1)),
            channels=channels * 2**stage,
            tail=behind(operations),
        )

    def head(_: str) -> PlacedBlock:
        last = STAGES - 1
        return place("classifier", (channels * 2**last, side(last), side(last)), classes=classes)

    edges = tuple(range(len(EDGES)))
    slots = [Slot("stem", edges, first)]
    for stage in range(STAGES):
        if stage:
            slots.append(Slot(f"reduction{stage}", edges, partial(reduction, stage)))
        slots += [
            Slot(
                f"stage{stage + 1}.cell{position + 1}",
                edges,
                partial(inner, stage, position == cells - 1),
            )
            for position in range(cells)
        ]
    # A slot without choices has no table; the classifier takes one that it does not read.
    slots.append(Slot("head", edges[:1], head))
    return SearchSpace(
        name,
        [Choice(f"edge{source}{target}", OPERATIONS) for source, target in EDGES],
        slots,
        input_channels=input_channels,
        image_sizes=[size],
        resolution=None,
        classes=classes,
        references={label: genotype_of(text) for label, text in REFERENCES.items()},
    )
