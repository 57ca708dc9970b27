"""Search spaces: choices, the slots that they fill, and moves between genotypes.

A genotype is a vector of choice indices. A slot is a place in the chain whose
block is a function of a few choices, which is what makes pricing fast (a small
table per slot) and the expected latency of a distribution over choices exact.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import SpecError
from hwnas.spaces.architecture import Architecture, PlacedBlock
from hwnas.spaces.layers import Shape

Value = int | float | bool | str
Genotypes = NDArray[np.int64]


@dataclass(frozen=True)
class Choice:
    """One decision of a space.

    Args:
        name: What is decided, for example ``"stage2.depth"``.
        values: What can be chosen.
        parent: Index of the choice that switches this one on and off, if any.
        active_from: The lowest index of the parent's value at which this choice counts.
    """

    name: str
    values: tuple[Value, ...]
    parent: int | None = None
    active_from: int = 0


@dataclass(frozen=True)
class Slot:
    """A place in the chain.

    Args:
        name: Its name, for example ``"stage2.block3"``.
        choices: Indices of the choices that decide its block.
        build: From the values of those choices to the block, or ``None`` where
            the slot is left out (a skip).
    """

    name: str
    choices: tuple[int, ...]
    build: Callable[..., PlacedBlock | None]


class SearchSpace:
    """A set of architectures, all chains of blocks for one data shape.

    Args:
        name: The name under which the space is found.
        choices: The decisions; a child comes after its parent.
        slots: The places, first to last.
        input_channels: Channels of the images.
        image_sizes: Sizes of the square images, one per value of ``resolution``.
        resolution: Index of the choice that decides the image size, if any.
        classes: Number of classes.
        references: Named genotypes that people know, for baselines.
        definition: For a space that its name does not define, what does, as plain
            values with a ``"name"`` to be known by.
    """

    def __init__(
        self,
        name: str,
        choices: Sequence[Choice],
        slots: Sequence[Slot],
        *,
        input_channels: int,
        image_sizes: Sequence[int],
        resolution: int | None,
        classes: int,
        references: dict[str, tuple[int, ...]] | None = None,
        definition: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.choices = tuple(choices)
        self.slots = tuple(slots)
        self.input_channels = input_channels
        self.image_sizes = tuple(image_sizes)
        self.resolution = resolution
        self.classes = classes
        self.references = dict(references or {})
        self.definition = dict(definition or {})
        self._check()

    def _check(self) -> None:
        for index, choice in enumerate(self.choices):
            if not choice.values:
                raise SpecError(f"choice '{choice.name}' has no values")
            if choice.parent is not None:
                if not 0 <= choice.parent < index:
                    raise SpecError(f"choice '{choice.name}' stands before its parent")
                if self.choices[choice.parent].parent is not None:
                    raise SpecError(f"choice '{choice.name}': a parent cannot have a parent itself")

    @cached_property
    def cardinalities(self) -> Genotypes:
        """Number of values of each choice, ``(choices,)``."""
        return np.array([len(choice.values) for choice in self.choices], dtype=np.int64)

    @property
    def length(self) -> int:
        """Number of genes in a genotype."""
        return len(self.choices)

    @cached_property
    def _children(self) -> dict[int, list[int]]:
        children: dict[int, list[int]] = {i: [] for i in range(self.length)}
        for index, choice in enumerate(self.choices):
            if choice.parent is not None:
                children[choice.parent].append(index)
        return children

    def _weights(self, parent: int) -> list[int]:
        """Number of distinct settings below each value of a choice without parent."""
        weights = []
        for value in range(len(self.choices[parent].values)):
            weight = 1
            for child in self._children[parent]:
                if value >= self.choices[child].active_from:
                    weight *= len(self.choices[child].values)
            weights.append(weight)
        return weights

    @cached_property
    def size(self) -> int:
        """Number of distinct architectures."""
        total = 1
        for index, choice in enumerate(self.choices):
            if choice.parent is None:
                total *= sum(self._weights(index))
        return total

    def active(self, genotypes: Genotypes) -> NDArray[np.bool_]:
        """Which genes count, ``(n, choices)`` for genotypes ``(n, choices)``."""
        mask = np.ones(genotypes.shape, dtype=bool)
        for index, choice in enumerate(self.choices):
            if choice.parent is not None:
                mask[:, index] = genotypes[:, choice.parent] >= choice.active_from
        return mask

    def canonical(self, genotypes: Genotypes) -> Genotypes:
        """Genotypes with every gene that does not count set to 0, so that equals are equal."""
        return np.where(self.active(genotypes), genotypes, 0)

    def allowed(self, genotypes: Genotypes) -> NDArray[np.bool_]:
        """Which genotypes ``(n, choices)`` are within the space's limits, ``(n,)``; here all."""
        return np.ones(len(genotypes), dtype=bool)

    def check(self, genotype: Sequence[int]) -> tuple[int, ...]:
        """The genotype, if it belongs to the space.

        Raises:
            SpecError: Its length or one of its genes is out of range.
        """
        genes = tuple(int(gene) for gene in genotype)
        if len(genes) != self.length:
            raise SpecError(
                f"a genotype of space '{self.name}' has {self.length} genes, received {len(genes)}"
            )
        for gene, choice in zip(genes, self.choices, strict=True):
            if not 0 <= gene < len(choice.values):
                raise SpecError(
                    f"gene '{choice.name}' must be 0 to {len(choice.values) - 1}, received {gene}"
                )
        return genes

    def values(self, genotype: Sequence[int]) -> dict[str, Value]:
        """Names and values of the choices that count."""
        genes = self.check(genotype)
        active = self.active(np.array([genes]))[0]
        return {
            choice.name: choice.values[gene]
            for choice, gene, counts in zip(self.choices, genes, active, strict=True)
            if counts
        }

    def encode(self, values: dict[str, Value]) -> tuple[int, ...]:
        """The genotype for named values; choices that are left out get their first value.

        Raises:
            SpecError: A name or a value is not of the space.
        """
        known = {choice.name: choice for choice in self.choices}
        for name, value in values.items():
            if name not in known:
                raise SpecError(
                    f"space '{self.name}' has no choice '{name}'; it has {', '.join(known)}"
                )
            if value not in known[name].values:
                allowed = ", ".join(map(str, known[name].values))
                raise SpecError(f"choice '{name}' must be one of {allowed}, received {value}")
        genes = [
            choice.values.index(values[choice.name]) if choice.name in values else 0
            for choice in self.choices
        ]
        return tuple(int(gene) for gene in self.canonical(np.array([genes]))[0])

    def input_shape(self, genotype: Sequence[int]) -> Shape:
        """Shape of the images that the architecture takes."""
        index = 0 if self.resolution is None else int(genotype[self.resolution])
        size = self.image_sizes[index]
        return (self.input_channels, size, size)

    def slot_block(self, slot: Slot, genes: Sequence[int]) -> PlacedBlock | None:
        """The block of a slot for the indices of the choices that decide it."""
        return slot.build(
            *(self.choices[c].values[g] for c, g in zip(slot.choices, genes, strict=True))
        )

    def slot_variants(self, slot: Slot) -> Iterator[tuple[tuple[int, ...], PlacedBlock | None]]:
        """All settings of a slot's choices in mixed-radix order, with their blocks."""
        for genes in itertools.product(*(range(len(self.choices[c].values)) for c in slot.choices)):
            yield genes, self.slot_block(slot, genes)

    def decode(self, genotype: Sequence[int]) -> Architecture:
        """The architecture of a genotype."""
        genes = self.check(genotype)
        blocks = (self.slot_block(slot, [genes[c] for c in slot.choices]) for slot in self.slots)
        return Architecture(
            self.input_shape(genes), tuple(item.spec for item in blocks if item is not None)
        )

    def sample(
        self, rng: np.random.Generator, count: int, *, over: str = "architectures"
    ) -> Genotypes:
        """Random genotypes, ``(count, choices)``, canonical.

        Args:
            rng: Source of randomness.
            count: How many.
            over: ``"architectures"`` is uniform over distinct architectures, and
                so prefers deep ones; ``"choices"`` is uniform over each choice.
        """
        genes = rng.integers(0, self.cardinalities, size=(count, self.length))
        if over == "architectures":
            for index, choice in enumerate(self.choices):
                if choice.parent is None and self._children[index]:
                    weights = np.array(self._weights(index), dtype=float)
                    genes[:, index] = rng.choice(
                        len(weights), size=count, p=weights / weights.sum()
                    )
        return self.canonical(genes)

    def mutate(
        self,
        rng: np.random.Generator,
        genotypes: Genotypes,
        probability: float | NDArray[np.float64],
    ) -> Genotypes:
        """Genotypes with each gene redrawn with a probability, at least one gene each.

        Args:
            rng: Source of randomness.
            genotypes: ``(n, choices)``.
            probability: Of each gene, or one per choice ``(choices,)``.
        """
        redraw = rng.random(genotypes.shape) < probability
        forced = rng.integers(0, self.length, size=len(genotypes))
        redraw[np.arange(len(genotypes)), forced] = True
        fresh = rng.integers(0, self.cardinalities, size=genotypes.shape)
        return self.canonical(np.where(redraw, fresh, genotypes))

    def crossover(
        self, rng: np.random.Generator, mothers: Genotypes, fathers: Genotypes
    ) -> Genotypes:
        """Children that take each gene from either parent with equal probability."""
        return self.canonical(np.where(rng.random(mothers.shape) < 0.5, mothers, fathers))

    def neighbours(self, genotype: Sequence[int]) -> list[tuple[int, ...]]:
        """Distinct genotypes that differ in one choice."""
        own = self.check(genotype)
        moves = []
        for index, choice in enumerate(self.choices):
            for gene in range(len(choice.values)):
                moves.append((*own[:index], gene, *own[index + 1 :]))
        unique = {tuple(int(g) for g in row) for row in self.canonical(np.array(moves))}
        start = tuple(int(g) for g in self.canonical(np.array([own]))[0])
        return sorted(unique - {start})

    def describe(self) -> dict[str, Any]:
        """The space as plain values, for files that must know which space they belong to."""
        return {
            "name": self.name,
            "classes": self.classes,
            "input_channels": self.input_channels,
            "image_sizes": list(self.image_sizes),
            "choices": {choice.name: list(choice.values) for choice in self.choices},
            **self.definition,
        }
