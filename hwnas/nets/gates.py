"""Binary gates between two paths: the gradient by which architecture choices are trained.

ProxylessNAS (Cai et al., 2019, section 3.2): where a choice has the value a and
could have b, the output is ``g_a·o_a + g_b·o_b`` with ``g = (1, 0)``, and the
gradient of the loss in the gates tells which is better. Since ``g_b`` is 0, the
values of the main path do not change, so any number of gates can be looked at
in one pass, each a first-order term at its own place, and none has to be part
of the graph: ``dL/dg = <o, dL/dout>``.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from hwnas.errors import SpecError
from hwnas.nets.elastic import ElasticNetwork
from hwnas.spaces.space import SearchSpace

GateGradients = dict[int, tuple[float, float]]


def gene_span(space: SearchSpace, gene: int) -> range:
    """Positions of the slots from the first to the last that depend on a gene."""
    own = [index for index, slot in enumerate(space.slots) if gene in slot.choices]
    return range(own[0], own[-1] + 1) if own else range(0)


@lru_cache(maxsize=16)
def shape_genes(space: SearchSpace) -> tuple[int, ...]:
    """Genes that change the shape of the images or of a slot's output.

    Two values of such a gene have outputs that cannot be added, so there can be
    no gate between them.
    """
    found = set()
    if space.resolution is not None and len(set(space.image_sizes)) > 1:
        found.add(space.resolution)
    for slot in space.slots:
        # By gene and the settings of the slot's other choices: the shapes that its output has.
        outputs: dict[tuple[int, tuple[int, ...]], set[tuple[int, ...]]] = {}
        inputs: dict[tuple[int, tuple[int, ...]], set[tuple[int, ...]]] = {}
        skipped = set()
        for genes, placed in space.slot_variants(slot):
            for place, gene in enumerate(slot.choices):
                key = (gene, (*genes[:place], *genes[place + 1 :]))
                if placed is None:
                    skipped.add(key)
                else:
                    outputs.setdefault(key, set()).add(placed.graph.output_shape)
                    inputs.setdefault(key, set()).add(placed.input_shape)
        for key, shapes in outputs.items():
            # A slot that is left out gives what it receives.
            if len(shapes | (inputs[key] if key in skipped else set())) > 1:
                found.add(key[0])
    return tuple(sorted(found))


def gate_gradients(
    network: ElasticNetwork,
    images: Tensor,
    genotype: Sequence[int],
    alternatives: Mapping[int, int],
    criterion: Callable[[Tensor], Tensor],
) -> tuple[float, GateGradients]:
    """The loss of a path, and its gradient in the gates between two values of some genes.

    A gene's gate stands behind the last slot that depends on it; its
    alternative is run from the first such slot, on what the main path gives
    there, without gradient. Memory: that of one path, and one output per gene.

    Args:
        network: The shared weights; nothing is accumulated in their gradients.
        images: ``(N, C, H, W)`` in the size that the genotype asks for.
        genotype: The main path.
        alternatives: By the index of a gene, the value that it could have instead.
        criterion: From logits ``(N, classes)`` to the loss, a scalar.

    Returns:
        The loss, and per gene ``(dL/dg_a, dL/dg_b)``: a for the main path's
        value, b for the alternative. A gene on which no slot depends gets zeros.

    Raises:
        SpecError: A genotype is not of the space, or a gene changes shapes.
        ShapeError: The images do not have the shape that the genotype asks for.
    """
    space = network.space
    genes = network.check_images(images, genotype)
    for gene in set(alternatives) & set(shape_genes(space)):
        raise SpecError(f"choice '{space.choices[gene].name}' changes shapes: it cannot be gated")
    changed = {gene: _replaced(space, genes, gene, value) for gene, value in alternatives.items()}
    spans = {gene: gene_span(space, gene) for gene in alternatives}
    # The images need a gradient where all slots of a gene are left out at the very start.
    bounds = [images.detach().requires_grad_()]
    for index in range(len(space.slots)):
        bounds.append(network.run_slot(index, bounds[-1], genes))
    loss = criterion(bounds[-1])
    stops = sorted({span.stop for span in spans.values() if span})
    slopes: dict[int, Tensor] = {}
    if stops:
        found = torch.autograd.grad(loss, [bounds[stop] for stop in stops])
        slopes = dict(zip(stops, found, strict=True))
    gradients = {}
    for gene, span in spans.items():
        if not span:
            gradients[gene] = (0.0, 0.0)
            continue
        with torch.no_grad():
            other = bounds[span.start]
            for index in span:
                other = network.run_slot(index, other, changed[gene])
            if other.shape != bounds[span.stop].shape:
                raise SpecError(
                    f"choice '{space.choices[gene].name}' changes the shape of an output from "
                    f"{tuple(bounds[span.stop].shape)} to {tuple(other.shape)}: it cannot be gated"
                )
            slope = slopes[span.stop]
            gradients[gene] = (_dot(bounds[span.stop], slope), _dot(other, slope))
    return float(loss.item()), gradients


def _replaced(space: SearchSpace, genes: tuple[int, ...], gene: int, value: int) -> tuple[int, ...]:
    if not 0 <= gene < space.length:
        raise SpecError(
            f"space '{space.name}' has genes 0 to {space.length - 1}, received an alternative for "
            f"gene {gene}"
        )
    return space.check((*genes[:gene], value, *genes[gene + 1 :]))


def _dot(left: Tensor, right: Tensor) -> float:
    return float((left * right).sum().item())
