"""Sub-graphs that a runtime runs as one operator: normalisations, gates, transposed products.

A rewrite takes a graph and changes it where its pattern stands. Which rewrites a
runtime makes, and in which order, is part of its rules (``fusion.py``).
"""

import math
from collections.abc import Callable, Iterator, Sequence

from hwnas.kernels.graph import Graph, Node

Gate = Callable[[Graph, str], tuple[list[Node], str] | None]


def ways(inputs: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The two inputs of an operator whose order does not matter, both ways round."""
    if len(inputs) == 2:
        yield inputs[0], inputs[1]
        yield inputs[1], inputs[0]


def scaled(graph: Graph, node: Node | None, value: float) -> str | None:
    """What a node multiplies by a constant, or divides by its inverse."""
    if node is None or len(node.inputs) != 2:
        return None
    if node.op == "Div":
        found = graph.scalar(node.inputs[1])
        return node.inputs[0] if found and math.isclose(1 / found, value, rel_tol=1e-3) else None
    if node.op != "Mul":
        return None
    return _beside(graph, node, value)


def _beside(graph: Graph, node: Node, value: float) -> str | None:
    for data, constant in ways(node.inputs):
        found = graph.scalar(constant)
        if found is not None and math.isclose(found, value, rel_tol=1e-3):
            return data
    return None


def _last_axis_mean(graph: Graph, node: Node | None, source: str) -> bool:
    if node is None or node.inputs[0] != source:
        return False
    axes = node.attributes.get("axes")
    if axes is None and len(node.inputs) > 1:
        axes = graph.integers(node.inputs[1])
    shape = graph.shape(source)
    return axes is not None and shape is not None and tuple(axes) in ((-1,), (len(shape) - 1,))


def _squared(graph: Graph, node: Node | None, source: str) -> bool:
    if node is None or node.inputs[0] != source:
        return False
    if node.op == "Mul":
        return node.inputs[1] == source
    return graph.scalar(node.inputs[1]) == 2.0


def _deviation(graph: Graph, tensor: str, source: str) -> list[Node] | None:
    """The nodes of √(mean of squares + ε), where it is computed from ``source``."""
    root = graph.inner(tensor, "Sqrt")
    shifted = graph.inner(root.inputs[0], "Add") if root else None
    if root is None or shifted is None:
        return None
    for data, epsilon in ways(shifted.inputs):
        mean = graph.inner(data, "ReduceMean")
        square = graph.inner(mean.inputs[0], "Pow", "Mul") if mean else None
        if mean is None or square is None or graph.scalar(epsilon) is None:
            continue
        if _squared(graph, square, source) and _last_axis_mean(graph, mean, square.outputs[0]):
            return [square, mean, shifted, root]
    return None


def layer_normalisation(graph: Graph) -> None:
    """Mean, deviation, scale and shift to ``LayerNormalization``."""
    for node in list(graph.nodes):
        found = _layer_norm(graph, node) if node.op == "Add" else None
        if found is not None:
            graph.replace(*found)


def _layer_norm(graph: Graph, node: Node) -> tuple[list[Node], list[Node]] | None:
    for product, shift in ways(node.inputs):
        multiply = graph.inner(product, "Mul")
        if multiply is None or shift not in graph.constants:
            continue
        for ratio, scale in ways(multiply.inputs):
            divide = graph.inner(ratio, "Div")
            if divide is None or scale not in graph.constants:
                continue
            centred = divide.inputs[0]
            subtract = graph.producer(centred, "Sub")
            rest = _deviation(graph, divide.inputs[1], centred)
            if subtract is None or rest is None:
                continue
            mean, source = graph.inner(subtract.inputs[1], "ReduceMean"), subtract.inputs[0]
            if mean is None or not _last_axis_mean(graph, mean, source):
                continue
            if graph.uses[centred] - rest[0].inputs.count(centred) != 1:
                continue
            old = [mean, subtract, *rest, divide, multiply, node]
            new = Node("LayerNormalization", [source, scale, shift], node.outputs, {"axis": -1})
            return old, [new]
    return None


def root_mean_square(graph: Graph) -> None:
    """Deviation and scale without a mean to ``SimplifiedLayerNormalization``."""
    for node in list(graph.nodes):
        if node.op != "Mul":
            continue
        for ratio, scale in ways(node.inputs):
            divide = graph.inner(ratio, "Div")
            if divide is None or scale not in graph.constants:
                continue
            source = divide.inputs[0]
            rest = _deviation(graph, divide.inputs[1], source)
            if rest is not None:
                new = Node(
                    "SimplifiedLayerNormalization", [source, scale], node.outputs, {"axis": -1}
                )
                graph.replace([*rest, divide, node], [new])
                break


def skip_normalisation(graph: Graph) -> None:
    """A sum that only a normalisation reads runs in its kernel."""
    for node in list(graph.nodes):
        if node.op not in ("LayerNormalization", "SimplifiedLayerNormalization"):
            continue
        add = graph.inner(node.inputs[0], "Add")
        if add is None or len(node.outputs) != 1:
            continue
        shapes = [graph.shape(tensor) for tensor in add.inputs]
        if shapes[0] != shapes[1] or shapes[0] is None or len(shapes[0]) != 3:
            continue
        prefix = "Skip" if node.op == "LayerNormalization" else "SkipSimplified"
        name = prefix + "LayerNormalization"
        graph.replace([add, node], [Node(name, [*add.inputs, *node.inputs[1:]], node.outputs)])


def gelu(graph: Graph) -> None:
    """x·½·(1 + erf(x/√2)) to ``Gelu``, and its approximation by tanh to ``FastGelu``."""
    for node in list(graph.nodes):
        if node.op != "Mul":
            continue
        for name, inner in (("Gelu", _erf_gate), ("FastGelu", _tanh_gate)):
            found = _gated(graph, node, inner)
            if found is not None:
                graph.replace(found[0], [Node(name, [found[1]], node.outputs)])
                break


def _gated(graph: Graph, node: Node, gate: Gate) -> tuple[list[Node], str] | None:
    """The nodes of x·½·gate(x) that ends in ``node``, in either order, and x."""
    for first, second in ways(node.inputs):
        # (½·x)·gate
        found, half = gate(graph, second), _half(graph, first)
        if found is not None and half is not None and half[1] == found[1]:
            return [half[0], *found[0], node], found[1]
        # ½·(x·gate)
        product = graph.inner(first, "Mul")
        if product is None or graph.scalar(second) != 0.5:
            continue
        for source, other in ways(product.inputs):
            found = gate(graph, other)
            if found is not None and found[1] == source:
                return [*found[0], product, node], source
    return None


def _half(graph: Graph, tensor: str) -> tuple[Node, str] | None:
    node = graph.inner(tensor, "Mul", "Div")
    source = scaled(graph, node, 0.5)
    return (node, source) if node is not None and source is not None else None


def _erf_gate(graph: Graph, tensor: str) -> tuple[list[Node], str] | None:
    """The nodes of 1 + erf(x/√2), and x."""
    return _one_plus(graph, tensor, "Erf", 2**-0.5)


def _one_plus(graph: Graph, tensor: str, op: str, factor: float) -> tuple[list[Node], str] | None:
    add = graph.inner(tensor, "Add")
    data = _beside(graph, add, 1.0) if add else None
    call = graph.inner(data, op) if data else None
    ratio = graph.inner(call.inputs[0], "Mul", "Div") if call else None
    source = scaled(graph, ratio, factor)
    if add is None or call is None or ratio is None or source is None:
        return None
    return [ratio, call, add], source


def _tanh_gate(graph: Graph, tensor: str) -> tuple[list[Node], str] | None:
    """The nodes of 1 + tanh(√(2/π)·(x + 0.044715·x³)), and x."""
    found = _one_plus(graph, tensor, "Tanh", (2 / math.pi) ** 0.5)
    inner = graph.inner(found[1], "Add") if found else None
    if found is None or inner is None:
        return None
    for source, other in ways(inner.inputs):
        product = graph.inner(other, "Mul")
        data = _beside(graph, product, 0.044715) if product else None
        cube = graph.inner(data, "Pow") if data else None
        if product is None or cube is None or cube.inputs[0] != source:
            continue
        if graph.scalar(cube.inputs[1]) == 3.0:
            return [cube, product, inner, *found[0]], source
    return None


def bias_gelu(graph: Graph) -> None:
    """A bias that only a GELU reads runs in its kernel."""
    for node in list(graph.nodes):
        if node.op not in ("Gelu", "FastGelu") or len(node.inputs) != 1:
            continue
        add = graph.inner(node.inputs[0], "Add")
        for data, bias in ways(add.inputs if add else ()):
            shape, own = graph.shape(data), graph.shape(bias)
            if add and bias in graph.constants and shape and own == (shape[-1],):
                name = "BiasGelu" if node.op == "Gelu" else "FastGelu"
                graph.replace([add, node], [Node(name, [data, bias], node.outputs)])
                break


def silu(graph: Graph) -> None:
    """x·σ(α·x) to ``QuickGelu``."""
    for node in list(graph.nodes):
        if node.op != "Mul":
            continue
        for source, gate in ways(node.inputs):
            sigmoid = graph.inner(gate, "Sigmoid")
            if sigmoid is None:
                continue
            old = [sigmoid, node]
            data = sigmoid.inputs[0]
            if data != source:
                inner = graph.inner(data, "Mul")
                if inner is None or not any(
                    a == source and graph.scalar(b) is not None for a, b in ways(inner.inputs)
                ):
                    continue
                old.insert(0, inner)
            graph.replace(old, [Node("QuickGelu", [source], node.outputs)])
            break
