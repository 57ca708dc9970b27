"""A network that holds the weights of all architectures of a space at once."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hwnas.errors import ShapeError, SpecError
from hwnas.nets.layers import apply_layer, initial, run_graph
from hwnas.nets.network import Network
from hwnas.nets.parameters import holder, tensors
from hwnas.spaces.architecture import PlacedBlock
from hwnas.spaces.graph import Node
from hwnas.spaces.layers import Conv2d, Layer, Shape
from hwnas.spaces.module_layers import OwnModule
from hwnas.spaces.space import SearchSpace, Slot


class Shared(NamedTuple):
    """The largest shape of a parameter, and the layer that has the most of it."""

    layer: Layer
    shape: Shape


def largest_parameters(space: SearchSpace, slot: Slot) -> dict[tuple[str, str], Shared]:
    """What a slot must hold so that every block that can fill it finds its weights.

    Args:
        space: The space.
        slot: One of its slots.

    Returns:
        By the path of a layer and the name of its parameter: the maximum of the
        shapes over the slot's blocks, dimension by dimension.

    Raises:
        SpecError: A block is a user's own module.
    """
    found: dict[tuple[str, str], Shared] = {}
    for placed in slot_blocks(space, slot):
        own = next((n.layer for n in placed.graph.nodes if isinstance(n.layer, OwnModule)), None)
        if own is not None:
            raise SpecError(
                f"slot '{slot.name}' of space '{space.name}' holds the module '{own.path}', whose "
                "weights cannot be shared between architectures; search with a strategy and an "
                "estimator that train each on its own"
            )
        for key, layer, shape in _held(placed):
            known = found.get(key, Shared(layer, shape))
            widest = tuple(map(max, known.shape, shape))
            grown = widest != known.shape
            found[key] = Shared(layer if grown else known.layer, widest)
    return found


def slot_blocks(space: SearchSpace, slot: Slot) -> list[PlacedBlock]:
    """The different blocks that can fill a slot, in the order of its variants."""
    return list(dict.fromkeys(item for _, item in space.slot_variants(slot) if item is not None))


@lru_cache(maxsize=65536)
def _held(placed: PlacedBlock) -> tuple[tuple[tuple[str, str], Layer, Shape], ...]:
    """Path and name, layer and shape of each parameter; slots of one stage often hold the same."""
    graph = placed.graph
    return tuple(
        ((layer_path(node), name), node.layer, shape)
        for node in graph.nodes
        for name, shape in node.layer.parameter_shapes(*graph.node_input_shapes(node)).items()
    )


def layer_path(node: Node) -> str:
    """Where the weights of a layer live in its slot.

    The kind of the layer is a part of it, because two blocks of a slot may give
    one name to layers of different kinds, which have no weights to share.
    """
    return f"{node.name}.{type(node.layer).__name__}"


def sliced(layer: Layer, name: str, value: Tensor, shape: Shape) -> Tensor:
    """The part of a shared parameter that a layer uses, as a view.

    The leading channels, and the centre of a convolution's kernel (Cai et al.,
    2020, without their learned transform of kernels).

    Args:
        layer: The layer that uses it.
        name: The parameter's name.
        value: The shared parameter; no dimension is smaller than in ``shape``.
        shape: What the layer needs.
    """
    for dimension, size in enumerate(shape):
        spare = value.shape[dimension] - size
        if spare:
            kernel = isinstance(layer, Conv2d) and name == "weight" and dimension >= 2
            value = value.narrow(dimension, spare // 2 if kernel else 0, size)
    return value


class ElasticNetwork(nn.Module):
    """A weight-sharing supernet: one path of any space, chosen anew in each call.

    Every slot holds each of its parameters once, in the largest shape that a
    block of the slot has, and a path takes a slice. Batch norm always uses the
    statistics of the batch, since running ones would mix those of all paths.

    Args:
        space: The space.
        seed: Seed of the initial weights.
    """

    def __init__(self, space: SearchSpace, *, seed: int = 0) -> None:
        super().__init__()
        self.space = space
        generator = torch.Generator().manual_seed(seed)
        self.slots = nn.ModuleList(nn.Module() for _ in space.slots)
        self._holders: list[dict[str, nn.Module]] = []
        for module, slot in zip(self.slots, space.slots, strict=True):
            holders: dict[str, nn.Module] = {}
            for (path, name), shared in largest_parameters(space, slot).items():
                holders[path] = holder(module, path)
                value = initial(shared.layer, name, shared.shape, generator)
                holders[path].register_parameter(name, nn.Parameter(value))
            self._holders.append(holders)

    def forward(self, images: Tensor, genotype: Sequence[int]) -> Tensor:
        """Logits ``(N, classes)`` of one path.

        Args:
            images: ``(N, C, H, W)`` in the size that the genotype asks for.
            genotype: The path; only its blocks are run.

        Raises:
            SpecError: The genotype is not of the space, or its blocks do not fit together.
            ShapeError: The images do not have the shape that the genotype asks for.
        """
        genes = self.check_images(images, genotype)
        output = images
        for index in range(len(self.slots)):
            output = self.run_slot(index, output, genes)
        return output

    def check_images(self, images: Tensor, genotype: Sequence[int]) -> tuple[int, ...]:
        """The genotype, if it belongs to the space and the images have its input shape.

        Raises:
            SpecError: The genotype is not of the space.
            ShapeError: The images do not have the shape that the genotype asks for.
        """
        genes = self.space.check(genotype)
        wanted = self.space.input_shape(genes)
        if images.ndim != 4 or tuple(images.shape[1:]) != wanted:
            raise ShapeError(
                f"this genotype takes images (N, {', '.join(map(str, wanted))}), received "
                f"{tuple(images.shape)}"
            )
        return genes

    def run_slot(self, index: int, image: Tensor, genotype: Sequence[int]) -> Tensor:
        """The output of one slot; its input where the slot is left out.

        Args:
            index: Position of the slot.
            image: The output of the slot before, ``(N, C, H, W)``.
            genotype: Genes that belong to the space.

        Raises:
            SpecError: The slot's block takes another shape than it receives.
        """
        slot = self.space.slots[index]
        placed = self.space.slot_block(slot, [genotype[choice] for choice in slot.choices])
        return self.run_block(index, placed, image)

    def run_block(self, index: int, placed: PlacedBlock | None, image: Tensor) -> Tensor:
        """The output of one block of a slot with the slot's weights.

        Args:
            index: Position of the slot.
            placed: A block that the slot can hold; ``None`` gives the input.
            image: The output of the slot before, ``(N, C, H, W)``.

        Raises:
            SpecError: The block takes another shape than it receives.
        """
        if placed is None:
            return image
        slot, graph = self.space.slots[index], placed.graph
        if tuple(image.shape[1:]) != placed.input_shape:
            raise SpecError(
                f"slot '{slot.name}' of space '{self.space.name}' takes {placed.input_shape}, but "
                f"the slots before it give {tuple(image.shape[1:])}"
            )

        def compute(node: Node, inputs: Sequence[Tensor]) -> Tensor:
            shapes = node.layer.parameter_shapes(*graph.node_input_shapes(node))
            return apply_layer(node.layer, inputs, self._slices(index, node, shapes))

        return run_graph(graph, image, compute)

    def _slices(self, index: int, node: Node, shapes: Mapping[str, Shape]) -> dict[str, Tensor]:
        if not shapes:
            return {}
        own = self._holders[index][layer_path(node)]
        shared = tensors(own, shapes)
        return {
            name: self._slice(own, node.layer, name, shared[name], shape)
            for name, shape in shapes.items()
        }

    def _slice(
        self, own: nn.Module, layer: Layer, name: str, value: Tensor, shape: Shape
    ) -> Tensor:
        """What a layer uses of a shared parameter; ``own`` holds the parameters of the layer."""
        return sliced(layer, name, value, shape)

    @torch.no_grad()
    def extract(self, genotype: Sequence[int]) -> Network:
        """The network of one path with a copy of its weights.

        Its running statistics are those of a new network; estimate them on
        training images before the network is evaluated.

        Args:
            genotype: The path.

        Raises:
            SpecError: The genotype is not of the space.
        """
        genes = self.space.check(genotype)
        # The paths may be on an accelerator or in double precision; the network follows them.
        network = Network(self.space.decode(genes)).to(next(self.parameters()))
        position = 0
        for index, slot in enumerate(self.space.slots):
            placed = self.space.slot_block(slot, [genes[choice] for choice in slot.choices])
            if placed is None:
                continue
            own = network.blocks[position]
            for node in placed.graph.nodes:
                shapes = node.layer.parameter_shapes(*placed.graph.node_input_shapes(node))
                for name, value in self._slices(index, node, shapes).items():
                    own.get_parameter(f"{node.name}.{name}").copy_(value)
            position += 1
        return network
