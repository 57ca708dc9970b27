"""Networks in torch: layers, the network of an architecture, supernets, gates, inheritance."""

from hwnas.nets.channel_sort import sort_channels
from hwnas.nets.elastic import ElasticNetwork
from hwnas.nets.gates import gate_gradients, gene_span, shape_genes
from hwnas.nets.hypernetwork import Hypernetwork
from hwnas.nets.inherit import Inheritance, inherit
from hwnas.nets.layers import Statistics, apply_layer, initial, live_nodes, run_graph
from hwnas.nets.mixture import mixed_forward, most_blocks, slot_mixture
from hwnas.nets.network import Block, Network
from hwnas.nets.once_for_all import OnceForAllNetwork

__all__ = [
    "Block",
    "ElasticNetwork",
    "Hypernetwork",
    "Inheritance",
    "Network",
    "OnceForAllNetwork",
    "Statistics",
    "apply_layer",
    "gate_gradients",
    "gene_span",
    "inherit",
    "initial",
    "live_nodes",
    "mixed_forward",
    "most_blocks",
    "run_graph",
    "shape_genes",
    "slot_mixture",
    "sort_channels",
]
