"""Slots that give a weighted sum of their blocks: what DARTS and GDAS differentiate through.

A slot's blocks are all that its genes can make of it while the genes that change
shapes stay as they are; a slot that is left out gives its input. The share of a
block is the sum, over the settings that give it, of the product of its genes'
shares, so that a kernel size counts for nothing where the depth leaves its block
out, and every gene of a slot is weighed exactly.
"""

import itertools
from collections.abc import Sequence
from functools import lru_cache, reduce
from operator import add
from typing import NamedTuple

import torch
from torch import Tensor

from hwnas.nets.elastic import ElasticNetwork
from hwnas.nets.gates import shape_genes
from hwnas.spaces.architecture import PlacedBlock
from hwnas.spaces.space import SearchSpace


class SlotMixture(NamedTuple):
    """The blocks of a slot that can be added, and which settings give which.

    Args:
        genes: Indices of the genes that vary, in the order of the slot's choices.
        blocks: The different blocks; ``None`` leaves the slot out.
        places: Position of the block of each setting of the genes, in mixed-radix order.
    """

    genes: tuple[int, ...]
    blocks: tuple[PlacedBlock | None, ...]
    places: Tensor

    def shares(self, shares: Sequence[Tensor]) -> Tensor:
        """The share of each block, ``(blocks,)``, from one vector of shares per gene of the space.

        The sum is 1 where each gene's is.
        """
        joint = torch.ones(1, dtype=torch.float64)
        for gene in self.genes:
            joint = (joint[:, None] * shares[gene]).flatten()
        return torch.zeros(len(self.blocks), dtype=joint.dtype).index_add(0, self.places, joint)


@lru_cache(maxsize=1024)
def slot_mixture(space: SearchSpace, index: int, fixed: tuple[int, ...]) -> SlotMixture:
    """The mixture of a slot.

    Args:
        space: The space.
        index: Position of the slot.
        fixed: Values of those of the slot's genes that change shapes, in the slot's order.
    """
    slot, frozen = space.slots[index], set(shape_genes(space))
    held = iter(fixed)
    settings = [
        (next(held),) if gene in frozen else range(len(space.choices[gene].values))
        for gene in slot.choices
    ]
    found: dict[PlacedBlock | None, int] = {}
    positions = [
        found.setdefault(space.slot_block(slot, genes), len(found))
        for genes in itertools.product(*settings)
    ]
    free = tuple(gene for gene in slot.choices if gene not in frozen)
    return SlotMixture(free, tuple(found), torch.tensor(positions))


def mixed_forward(
    network: ElasticNetwork, images: Tensor, genotype: Sequence[int], shares: Sequence[Tensor]
) -> Tensor:
    """Logits ``(N, classes)`` where each slot gives the weighted sum of its blocks.

    Blocks whose share is 0 are not run. Memory: the activations of all blocks that are.

    Args:
        network: The shared weights.
        images: ``(N, C, H, W)`` in the size that the genotype asks for.
        genotype: Gives the values of the genes that change shapes; its others do not count.
        shares: The share of each value of each gene, ``(values,)`` in double precision.

    Raises:
        SpecError: The genotype is not of the space.
        ShapeError: The images do not have the shape that the genotype asks for.
    """
    space = network.space
    genes = network.check_images(images, genotype)
    frozen = set(shape_genes(space))
    output = images
    for index, slot in enumerate(space.slots):
        fixed = tuple(genes[gene] for gene in slot.choices if gene in frozen)
        mixture = slot_mixture(space, index, fixed)
        if len(mixture.blocks) == 1:
            output = network.run_block(index, mixture.blocks[0], output)
            continue
        weights = mixture.shares(shares)
        counted = weights.detach().nonzero().flatten().tolist()
        terms = [
            weights[own].to(output.dtype) * network.run_block(index, mixture.blocks[own], output)
            for own in counted
        ]
        output = terms[0] if len(terms) == 1 else reduce(add, terms)
    return output


def most_blocks(space: SearchSpace, most: int) -> tuple[str, int] | None:
    """The first slot with more than some number of blocks of one shape, if there is any.

    The blocks of one input and output shape are those that a mixture runs at once. This
    looks no further than it must, since some spaces take long to go through.

    Args:
        space: The space.
        most: The largest number that is allowed.

    Returns:
        The slot's name and the number of settings of its genes.
    """
    for slot in space.slots:
        by_shape: dict[tuple[object, object], set[PlacedBlock]] = {}
        skipped = 0
        for _, placed in space.slot_variants(slot):
            if placed is None:
                skipped = 1
                continue
            own = by_shape.setdefault((placed.input_shape, placed.graph.output_shape), set())
            own.add(placed)
            if len(own) + skipped > most:
                settings = 1
                for gene in slot.choices:
                    settings *= len(space.choices[gene].values)
                return slot.name, settings
    return None
