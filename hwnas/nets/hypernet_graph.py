"""An architecture as the graph that a hypernetwork reads: layers, data flow, distances."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hwnas.nets.layers import live_nodes
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.graph import INPUT
from hwnas.spaces.layers import ACTIVATIONS, Activation, Layer, Pool2d, Shape

Indices = NDArray[np.int64]

FARTHEST = 50
"""Longest shortest path that is a virtual edge (Knyazev et al., 2021)."""

OTHER = "other"
KINDS = (
    INPUT,
    OTHER,
    *ACTIVATIONS,
    "max",
    "average",
    "Add",
    "Attention",
    "BatchNorm",
    "ChannelPart",
    "ChannelShuffle",
    "ClassToken",
    "Concat",
    "Conv2d",
    "FirstToken",
    "Flatten",
    "GlobalAveragePool",
    "LayerNorm",
    "Linear",
    "MeanToken",
    "PatchConv2d",
    "PositionEmbedding",
    "Scale",
    "ToTokens",
    "TokenLinear",
    "Zero",
)
"""What a node can be; layers that are not named here share one kind."""

NUMBERS = ("groups", "stride", "heads", "part", "parts")
DIMENSIONS = 4
FIELDS = 2 * DIMENSIONS + len(NUMBERS)
BINS = 41
"""Half octaves that sizes are told apart by: 0, then 1 to about a million."""


@dataclass(frozen=True)
class Slice:
    """A parameter that a node holds.

    Args:
        name: Its name in the network, ``blocks.<position>.<layer>.<parameter>``.
        layer: The layer that holds it.
        parameter: Its name in the layer.
        shape: Its shape.
        node: Index of the node in the graph.
    """

    name: str
    layer: Layer
    parameter: str
    shape: Shape
    node: int


@dataclass(frozen=True, eq=False)
class ArchitectureGraph:
    """The layers that an architecture's output depends on, in topological order.

    Args:
        kinds: Index in ``KINDS`` of each node, ``(nodes,)``; the first is the image.
        sizes: Half octave of each of a node's sizes, ``(nodes, FIELDS)``, below ``BINS``.
        distances: Shortest path along the data flow from the node of a column to that of
            a row, ``(nodes, nodes)``; 0 where there is none of at most ``FARTHEST``.
        depths: Longest path from the image to each node, ``(nodes,)``.
        heights: Longest path from each node to the last, ``(nodes,)``.
        parameters: What must be predicted.
    """

    kinds: Indices
    sizes: Indices
    distances: NDArray[np.int16]
    depths: Indices
    heights: Indices
    parameters: tuple[Slice, ...]


def kind_of(layer: Layer) -> str:
    """The name in ``KINDS`` for a layer."""
    if isinstance(layer, Activation | Pool2d):
        return layer.kind
    name = type(layer).__name__
    return name if name in KINDS else OTHER


@lru_cache(maxsize=4096)
def graph_of(architecture: Architecture) -> ArchitectureGraph:
    """The graph of an architecture: the chain of its blocks' graphs.

    Layers without parameters are nodes as well. Layers that the output does not depend
    on are not: they must not change what is predicted for the others.

    Args:
        architecture: At least one block.
    """
    kinds, parameters = [KINDS.index(INPUT)], []
    sizes = [_sizes(None, architecture.input_shape, ())]
    sources: list[list[int]] = [[]]
    last = 0
    for position, item in enumerate(architecture.placed):
        graph, known = item.graph, {INPUT: last}
        for node in live_nodes(graph):
            index = known[node.name] = len(kinds)
            shapes = node.layer.parameter_shapes(*graph.node_input_shapes(node))
            kinds.append(KINDS.index(kind_of(node.layer)))
            sizes.append(_sizes(node.layer, graph.shapes[node.name], shapes.get("weight", ())))
            sources.append(sorted({known[name] for name in node.inputs}))
            for name, shape in shapes.items():
                path = f"blocks.{position}.{node.name}.{name}"
                parameters.append(Slice(path, node.layer, name, shape, index))
        last = known[graph.output]
    readers: list[list[int]] = [[] for _ in sources]
    for index, own in enumerate(sources):
        for source in own:
            readers[source].append(index)
    return ArchitectureGraph(
        np.array(kinds, dtype=np.int64),
        np.array(sizes, dtype=np.int64),
        _distances(sources),
        _longest(sources, range(len(sources))),
        _longest(readers, reversed(range(len(sources)))),
        tuple(parameters),
    )


def _sizes(layer: Layer | None, output: Shape, weight: Shape) -> list[int]:
    """Half octaves of what a node's output and weight measure, and of its settings."""
    numbers = [*_padded(output), *_padded(weight)]
    numbers += [int(getattr(layer, name, 0)) for name in NUMBERS]
    return [min(round(2 * math.log2(1 + number)), BINS - 1) for number in numbers]


def _padded(shape: Shape) -> Shape:
    """The dimensions of a shape, 0 for those that it has not."""
    return (*shape, *(0,) * DIMENSIONS)[:DIMENSIONS]


def _distances(sources: Sequence[Sequence[int]]) -> NDArray[np.int16]:
    """Shortest paths to each node (rows) from all before it (columns)."""
    count = len(sources)
    far = np.iinfo(np.int16).max // 2
    found = np.full((count, count), far, dtype=np.int16)
    np.fill_diagonal(found, 0)
    for index, own in enumerate(sources):
        for source in own:
            np.minimum(found[index], found[source] + 1, out=found[index])
    found[found > FARTHEST] = 0
    return found


def _longest(before: Sequence[Sequence[int]], order: Iterable[int]) -> Indices:
    """Longest path to each node, in an order in which those before it come first."""
    found = np.zeros(len(before), dtype=np.int64)
    for index in order:
        for source in before[index]:
            found[index] = max(found[index], found[source] + 1)
    return found
