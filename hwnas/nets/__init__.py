"""Networks in torch: layers, the network of an architecture, the supernet of a space, gates."""

from hwnas.nets.elastic import ElasticNetwork
from hwnas.nets.gates import gate_gradients, gene_span, shape_genes
from hwnas.nets.layers import Statistics, apply_layer, initial, live_nodes, run_graph
from hwnas.nets.network import Block, Network

__all__ = [
    "Block",
    "ElasticNetwork",
    "Network",
    "Statistics",
    "apply_layer",
    "gate_gradients",
    "gene_span",
    "initial",
    "live_nodes",
    "run_graph",
    "shape_genes",
]
