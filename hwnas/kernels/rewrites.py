"""The rewrites of sub-graphs by the names that rules give them."""

from collections.abc import Callable, Iterable, Mapping

from hwnas.kernels import cleanup, patterns, products, quantised
from hwnas.kernels.graph import Graph

REWRITES: Mapping[str, Callable[[Graph], None]] = {
    rewrite.__name__: rewrite
    for rewrite in (
        cleanup.unchanged,
        cleanup.repeated,
        cleanup.padded,
        cleanup.constants_into_convolutions,
        cleanup.bounded,
        cleanup.reordered,
        quantised.quantised_operators,
        quantised.dynamic_product,
        products.product_bias,
        products.product_sum,
        products.product_transpose,
        products.product_scale,
        products.reshape_chain,
        patterns.layer_normalisation,
        patterns.root_mean_square,
        patterns.skip_normalisation,
        patterns.gelu,
        patterns.silu,
        patterns.bias_gelu,
    )
}


def rewrite(graph: Graph, names: Iterable[str]) -> None:
    """Make rewrites in order, and take out what nothing reads."""
    for name in names:
        REWRITES[name](graph)
    graph.sweep()
