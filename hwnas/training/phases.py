"""In which phases the paths of a supernet are trained: what of a space is open when."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from hwnas.errors import RequestError, UnknownNameError
from hwnas.spaces.space import Choice, SearchSpace

MODES = ("uniform", "progressive")

FIRST_SHARE = 0.3
"""Of the epochs, for the largest network; the other phases share the rest equally.

Cai et al., 2020, give it 180 epochs, and their code (``train_ofa_net.py``) 410 to the others:
120 to the kernel, 25 and 120 to depth, and to expansion.
"""

LATER_RATE = 0.3
"""Of the recipe's learning rate, for the phases that fine-tune what the first one trained.

The rate of the authors' code falls further in later phases; one number is simpler and suits
trainings of a few epochs, which have no steps to lose.
"""


class Dimension(NamedTuple):
    """What progressive shrinking opens together, by the part of a choice's name behind the dot."""

    name: str
    parts: tuple[str, ...]
    steps: int


DIMENSIONS = (
    Dimension("kernel", ("kernel",), 1),
    Dimension("depth", ("depth",), 2),
    Dimension("expansion", ("expansion", "ratio", "heads"), 2),
    Dimension("width", ("width", "dimension"), 1),
)
"""In the order in which they are opened (Cai et al., 2020, section 3.3)."""

NARROWING = ("expansion", "width")
"""Those by which channels shrink; they are sorted before."""


@dataclass(frozen=True)
class Phase:
    """A part of a training in which paths are drawn from the same choices.

    Args:
        name: What it opens, for people.
        epochs: Its passes over the training images.
        open: Per choice of the space, the values that can be drawn, as indices.
        rate: Its highest learning rate, as a share of the recipe's.
        distil: Learn also from the largest network.
        sort: Sort the channels by importance before it begins.
    """

    name: str
    epochs: int
    open: tuple[tuple[int, ...], ...]
    rate: float = 1.0
    distil: bool = False
    sort: bool = False

    def sample(self, generator: torch.Generator) -> tuple[int, ...]:
        """A random path: each choice uniform over its open values, whatever the others are."""
        return tuple(
            own[int(torch.randint(len(own), (), generator=generator).item())] for own in self.open
        )


def phases(space: SearchSpace, mode: str, epochs: int) -> tuple[Phase, ...]:
    """The phases of a supernet's training.

    ``"uniform"`` is one phase with everything open (Guo et al., 2020).
    ``"progressive"`` is the largest network, then the dimensions of ``DIMENSIONS`` one after
    the other; depth and expansion in two steps, the upper values and then all. What the space
    has not is left out, and so is a step that opens nothing; choices of other kinds (a
    block's family, squeeze-excite, groups, resolution) are open from the start.

    Args:
        space: The space.
        mode: One of ``MODES``.
        epochs: Passes over the training images, for all phases together.

    Raises:
        UnknownNameError: There is no such mode.
        RequestError: There are fewer epochs than phases.
    """
    if mode not in MODES:
        raise UnknownNameError("supernet mode", mode, MODES)
    if mode == "uniform":
        everything = [tuple(range(len(choice.values))) for choice in space.choices]
        steps = [Phase("uniform", epochs, tuple(everything))]
    else:
        steps = _shrinking(space)
    if epochs < len(steps):
        raise RequestError(
            f"a {mode} training of space '{space.name}' has {len(steps)} phases "
            f"({', '.join(step.name for step in steps)}) of at least an epoch each; epochs must "
            f"be at least {len(steps)}, received {epochs}"
        )
    counts = _shared_out(epochs, len(steps))
    return tuple(
        Phase(step.name, count, step.open, step.rate, step.distil, step.sort)
        for step, count in zip(steps, counts, strict=True)
    )


def _shrinking(space: SearchSpace) -> list[Phase]:
    largest = tuple(
        tuple(range(len(choice.values))) if dimension_of(choice) is None else (ranked(choice)[0],)
        for choice in space.choices
    )
    steps, sorted_yet = [Phase("largest", 1, largest)], False
    for dimension in DIMENSIONS:
        for step in range(1, dimension.steps + 1):
            before = steps[-1].open
            opened = tuple(
                _upper(choice, step, dimension.steps) if dimension_of(choice) is dimension else own
                for choice, own in zip(space.choices, before, strict=True)
            )
            if opened == before:
                continue
            # Once: sorted again, the smaller paths that were trained since would be lost.
            sort = dimension.name in NARROWING and not sorted_yet
            sorted_yet |= sort
            name = dimension.name + (f" {step}" if dimension.steps > 1 else "")
            steps.append(Phase(name, 1, opened, LATER_RATE, distil=True, sort=sort))
    return steps


def dimension_of(choice: Choice) -> Dimension | None:
    """The dimension along which a choice shrinks the network; ``None`` for other kinds.

    Choices whose values are not numbers have no order, whatever they are called.
    """
    part = choice.name.rpartition(".")[2]
    if any(isinstance(value, bool | str) for value in choice.values):
        return None
    return next((item for item in DIMENSIONS if part in item.parts), None)


def ranked(choice: Choice) -> list[int]:
    """Indices of a choice's values, the largest value first."""
    return sorted(range(len(choice.values)), key=lambda index: -float(choice.values[index]))


def _upper(choice: Choice, step: int, steps: int) -> tuple[int, ...]:
    """The values that are open in a step: the upper half and one more, in the last one all."""
    order = ranked(choice)
    return tuple(sorted(order if step == steps else order[: len(order) // 2 + 1]))


def _shared_out(epochs: int, count: int) -> list[int]:
    """Whole epochs of each phase, at least one; what cannot be divided goes to the last ones."""
    if count == 1:
        return [epochs]
    first = min(max(1, round(FIRST_SHARE * epochs)), epochs - (count - 1))
    each, spare = divmod(epochs - first, count - 1)
    return [first, *(each + (index >= count - 1 - spare) for index in range(count - 1))]


def raised(space: SearchSpace, genotype: Sequence[int]) -> tuple[int, ...]:
    """The largest path with the other choices of a genotype: what a path is distilled from."""
    return tuple(
        int(gene) if dimension_of(choice) is None else ranked(choice)[0]
        for choice, gene in zip(space.choices, genotype, strict=True)
    )


def largest(space: SearchSpace) -> tuple[int, ...]:
    """The largest path of a space.

    Its ordered choices have their highest values. Of the others, one after the
    other, the value is taken that gives the most parameters, and of equals the most
    multiply-accumulate operations.
    """
    genes = raised(space, [0] * space.length)
    for index, choice in enumerate(space.choices):
        if dimension_of(choice) is None:
            options = [
                (*genes[:index], gene, *genes[index + 1 :]) for gene in range(len(choice.values))
            ]
            genes = max(options, key=lambda option: _size(space, option))
    return genes


def _size(space: SearchSpace, genotype: Sequence[int]) -> tuple[int, int]:
    architecture = space.decode(genotype)
    return architecture.parameters, architecture.macs
