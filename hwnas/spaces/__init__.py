"""Search spaces: blocks written once as graphs of layers, choices, genotypes. numpy only."""

from hwnas.spaces.architecture import Architecture, PlacedBlock
from hwnas.spaces.blocks import BLOCKS, BlockSpec, block, expand
from hwnas.spaces.graph import GraphBuilder, LayerGraph, Node
from hwnas.spaces.recognise import recognise
from hwnas.spaces.registry import space, spaces
from hwnas.spaces.space import Choice, SearchSpace, Slot

__all__ = [
    "BLOCKS",
    "Architecture",
    "BlockSpec",
    "Choice",
    "GraphBuilder",
    "LayerGraph",
    "Node",
    "PlacedBlock",
    "SearchSpace",
    "Slot",
    "block",
    "expand",
    "recognise",
    "space",
    "spaces",
]
