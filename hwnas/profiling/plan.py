"""What to measure for a space: networks to calibrate on, networks to be judged on, parts."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnas.export.bags import SpaceBags
from hwnas.export.layers_onnx import architecture_bytes
from hwnas.export.parts_onnx import Part, block_part, call_part, edge_part, kernel_part
from hwnas.kernels import Kernel
from hwnas.profiling.choice import most_telling, network_features
from hwnas.profiling.general import general_kernels
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.space import SearchSpace

JUDGED_EVERY = 4
"""Every fourth network is kept out of all fitting."""

CANDIDATES = 1000
"""Networks among which those to measure are chosen."""

USAGE_SAMPLES = 1000


@dataclass(frozen=True)
class PlannedNetwork:
    """A whole network that is measured.

    Args:
        genotype: Its genes.
        architecture: The network.
        judged: Whether it is left out of fitting.
    """

    genotype: tuple[int, ...]
    architecture: Architecture
    judged: bool

    @property
    def key(self) -> str:
        """Its name in a profile."""
        return f"network:{self.architecture.digest}"

    def definition(self, space: SearchSpace) -> dict[str, Any]:
        """What the profile remembers of it."""
        return {
            "space": space.name,
            "genotype": list(self.genotype),
            "architecture": self.architecture.to_json(),
            "judged": self.judged,
        }

    def part(self) -> Part:
        """Its model."""
        return Part(self.key, architecture_bytes(self.architecture))


def plan_networks(
    space: SearchSpace, count: int, seed: int, bags: SpaceBags | None = None
) -> list[PlannedNetwork]:
    """Networks to measure; every fourth of them is judged.

    All come from one random sequence of distinct networks, half of it uniform over
    architectures, half over choices. The judged ones are every fourth of the sequence,
    whatever else is chosen, so they are a random sample of the space. The others are the
    next ones of the sequence, or, where the bags are given, those that tell most.

    The first of a longer plan are those of a shorter one, so that a second
    profiling run goes on with the first's.

    Args:
        space: Where they come from.
        count: How many; fewer if the space is smaller.
        seed: Seed of the sequence.
        bags: The space's blocks, to choose by what networks are made of.
    """
    sequence = _random_networks(space, seed, max(CANDIDATES, count))
    judged = sequence[JUDGED_EVERY - 1 :: JUDGED_EVERY]
    others = [g for i, g in enumerate(sequence) if i % JUDGED_EVERY != JUDGED_EVERY - 1]
    if bags is not None:
        features = network_features(bags, np.array(others))
        others = [others[i] for i in most_telling(features, count)]
    networks: list[PlannedNetwork] = []
    left, right = iter(others), iter(judged)
    for position in range(min(count, len(sequence))):
        is_judged = position % JUDGED_EVERY == JUDGED_EVERY - 1
        genotype = next(right if is_judged else left)
        networks.append(PlannedNetwork(genotype, space.decode(genotype), is_judged))
    return networks


def _random_networks(space: SearchSpace, seed: int, count: int) -> list[tuple[int, ...]]:
    """Genotypes of distinct networks in random order; fewer if the space is smaller."""
    rng = np.random.default_rng(seed)
    found: dict[str, tuple[int, ...]] = {}
    for _ in range(20):
        half = count // 2 + 1
        rows = np.concatenate([space.sample(rng, half), space.sample(rng, half, over="choices")])
        for row in rng.permutation(rows):
            genotype = tuple(int(gene) for gene in row)
            found.setdefault(space.decode(genotype).digest, genotype)
        if len(found) >= count:
            break
    return list(found.values())[:count]


class PartPlan:
    """The parts of a space, those first that networks use most.

    Args:
        bags: The space's blocks and kernels.
        seed: Seed of the sample by which use is counted.
        general: How many kernels of all kinds besides, which no network of the space needs.

    ``block_use`` (by index in the space) and ``kernel_use`` count how often
    ``USAGE_SAMPLES`` networks of the space use each; ``usage`` holds the counts of
    each network, ``(networks, blocks)``, columns in the order of ``block_use``.
    """

    def __init__(self, bags: SpaceBags, seed: int, general: int = 0) -> None:
        rng = np.random.default_rng(seed)
        half = USAGE_SAMPLES // 2
        genotypes = np.concatenate(
            [bags.space.sample(rng, half), bags.space.sample(rng, half, over="choices")]
        )
        chosen = bags.block_indices(genotypes)
        indices, counts = np.unique(chosen, return_counts=True)
        self.block_use = {int(i): int(n) for i, n in zip(indices, counts, strict=True) if i >= 0}
        self.usage = np.zeros((len(chosen), len(self.block_use)))
        rows, slots = np.nonzero(chosen >= 0)
        columns = np.searchsorted(list(self.block_use), chosen[rows, slots])
        np.add.at(self.usage, (rows, columns), 1)
        self.kernel_use: Counter[Kernel] = Counter()
        for index, uses in self.block_use.items():
            for kernel, number in bags.kernels[index].items():
                self.kernel_use[kernel] += uses * number
        self._bags = bags
        self.blocks = sorted(self.block_use, key=lambda i: (-self.block_use[i], i))
        self.kernels = sorted(self.kernel_use, key=lambda k: (-self.kernel_use[k], k.key))
        self.general = [f"kernel:{kernel.key}" for kernel in general_kernels(general, seed)]

    def block_key(self, index: int) -> str:
        """Key of a block in a profile, by its index in the space."""
        return f"block:{self._bags.keys[index]}"

    def block_kernels(self, index: int) -> Counter[Kernel]:
        """The kernels of a block, by its index in the space."""
        return self._bags.kernels[index]

    def ordered(self, done: set[str]) -> list[str]:
        """Keys of what is not done yet: blocks and kernels in turn, most used first."""
        blocks = [self.block_key(index) for index in self.blocks]
        kernels = [f"kernel:{kernel.key}" for kernel in self.kernels]
        merged: list[str] = []
        for position in range(max(len(blocks), len(kernels))):
            merged += blocks[position : position + 1] + kernels[position : position + 1]
        return [key for key in merged if key not in done]

    def with_general(self, ordered: list[str], done: set[str]) -> list[str]:
        """Keys in their order, every third one a kernel of any kind while there are some."""
        left = [key for key in self.general if key not in done]
        merged: list[str] = []
        for start in range(0, max(len(ordered), 2 * len(left)), 2):
            merged += ordered[start : start + 2] + left[start // 2 : start // 2 + 1]
        return list(dict.fromkeys(merged))

    def part(self, key: str) -> Part | None:
        """The model of a part; ``None`` for a kernel that cannot stand alone."""
        kind, _, rest = key.partition(":")
        if kind == "block":
            return block_part(self._bags.blocks[self._bags.keys.index(rest)])
        return kernel_part(Kernel.from_key(rest))

    def definition(self, key: str, part: Part) -> dict[str, Any]:
        """What the profile remembers of a part: its edges, and a block's spec and shape."""
        value: dict[str, Any] = {"edges": [list(shape) for shape in part.edges]}
        if key.startswith("block:"):
            block = self._bags.blocks[self._bags.keys.index(key.removeprefix("block:"))]
            value |= {"block": block.spec.to_json(), "input_shape": list(block.input_shape)}
        return value


def base_parts(edges: Iterable[tuple[int, ...]], done: set[str]) -> list[Part]:
    """What parts' costs are measured against: an empty call and the edges that they have."""
    wanted = [call_part(), *(edge_part(shape) for shape in dict.fromkeys(edges))]
    return [part for part in wanted if part.key not in done]
