"""Quantised operators as a runtime makes them of what quantisers write."""

import math
from collections.abc import Mapping

from hwnas.kernels.graph import Graph, Node, same_value
from hwnas.kernels.patterns import ways

QUANTISED: Mapping[str, str] = {
    "Add": "QLinearAdd",
    "AveragePool": "QLinearAveragePool",
    "Concat": "QLinearConcat",
    "Conv": "QLinearConv",
    "Gemm": "QGemm",
    "GlobalAveragePool": "QLinearGlobalAveragePool",
    "LeakyRelu": "QLinearLeakyRelu",
    "MatMul": "QLinearMatMul",
    "Mul": "QLinearMul",
    "Sigmoid": "QLinearSigmoid",
    "Softmax": "QLinearSoftmax",
}
"""The integer form of an operator that stands between dequantisation and quantisation."""

_TYPELESS = frozenset(
    {"Flatten", "Gather", "MaxPool", "Reshape", "Resize", "Slice", "Squeeze", "Transpose"}
    | {"Unsqueeze"}
)
_BYTES = ("int8", "uint8")
_LEVELS: Mapping[str, tuple[int, int]] = {"int8": (-128, 127), "uint8": (0, 255)}


def quantised_operators(graph: Graph) -> None:
    """Operators between dequantisation and quantisation to those on integers."""
    _absorb_bounds(graph)
    for node in list(graph.nodes):
        if node.domain:
            continue
        if node.op in QUANTISED:
            _quantise(graph, node)
        elif node.op in _TYPELESS:
            _retype(graph, node)
    graph.sweep()


def _absorb_bounds(graph: Graph) -> None:
    """Quantising clips: what clips no further before it does nothing."""
    for node in list(graph.nodes):
        if node.op != "QuantizeLinear" or len(node.inputs) < 3:
            continue
        before = graph.inner(node.inputs[0], "Relu", "Clip")
        scale, point = graph.scalar(node.inputs[1]), graph.scalar(node.inputs[2])
        kind = graph.types.get(node.inputs[2], ((), ""))[1]
        if before is None or scale is None or point is None or kind not in _BYTES:
            continue
        lowest, highest = _LEVELS[kind]
        low: float | None = 0.0
        high: float | None = math.inf
        if before.op == "Clip":
            bounds = [*before.inputs, "", ""][1:3]
            low, high = (
                graph.scalar(tensor) if tensor else end
                for tensor, end in zip(bounds, (-math.inf, math.inf), strict=True)
            )
        if low is None or high is None:
            continue
        slack = 1e-3 * abs(scale)
        if low <= scale * (lowest - point) + slack and scale * (highest - point) - slack <= high:
            graph.drop(before, before.inputs[0])


def _reader(graph: Graph, tensor: str) -> Node | None:
    if graph.uses[tensor] != 1:
        return None
    return next((n for n in graph.nodes if tensor in n.inputs and n.op == "QuantizeLinear"), None)


def _dequantised(graph: Graph, tensor: str) -> Node | None:
    node = graph.producer(tensor, "DequantizeLinear")
    if node is None or graph.types.get(node.inputs[0], ((), ""))[1] not in (*_BYTES, "int32"):
        return None
    return node


def _quantise(graph: Graph, node: Node) -> None:
    quantise = _reader(graph, node.outputs[0])
    sources = [_dequantised(graph, tensor) for tensor in node.inputs if tensor]
    if any(source is None for source in sources):
        return
    inputs: list[str] = []
    for source in sources:
        if source is not None:
            inputs += source.inputs[:1] if _is_bias(node, inputs) else _triple(source)
    if quantise is None:
        if node.op == "MatMul":
            left, scale, point, right, other, zero = inputs
            read = [left, right, scale, other, point, zero]
            graph.replace([node], [Node("MatMulIntegerToFloat", read, node.outputs)])
        return
    ends = _triple(quantise)[1:]
    if node.op == "Conv":
        inputs = inputs[:6] + ends + inputs[6:]
    elif node.op == "Gemm":
        inputs = [*inputs, *([""] if len(inputs) == 6 else []), *ends]
    elif node.op == "Concat":
        inputs = [*ends, *inputs]
    else:
        inputs += ends
    new = Node(QUANTISED[node.op], inputs, quantise.outputs, node.attributes)
    graph.replace([node, quantise], [new])


def _is_bias(node: Node, inputs: list[str]) -> bool:
    return node.op in ("Conv", "Gemm") and len(inputs) == 6


def _triple(node: Node) -> list[str]:
    return [*node.inputs, ""][:3]


def _retype(graph: Graph, node: Node) -> None:
    """What only moves or compares levels does so on the integers themselves."""
    quantise = _reader(graph, node.outputs[0])
    source = _dequantised(graph, node.inputs[0])
    if quantise is None or source is None:
        return
    for own, other in zip(source.inputs[1:], quantise.inputs[1:], strict=False):
        first, second = graph.values.get(own), graph.values.get(other)
        if not same_value(first, second):
            return
    new = Node(node.op, [source.inputs[0], *node.inputs[1:]], quantise.outputs, node.attributes)
    graph.replace([node, quantise], [new])


def dynamic_product(graph: Graph) -> None:
    """Product of integers, cast, scale and bias to one operator."""
    for node in list(graph.nodes):
        if node.op != "Mul":
            continue
        for product, scale in ways(node.inputs):
            cast = graph.inner(product, "Cast")
            multiply = graph.inner(cast.inputs[0], "MatMulInteger") if cast else None
            factor = graph.inner(scale, "Mul")
            if cast is None or multiply is None or factor is None:
                continue
            _fuse_product(graph, [multiply, cast, factor, node])
            break
    graph.sweep()


def _fuse_product(graph: Graph, old: list[Node]) -> None:
    multiply, _, factor, node = old
    output, bias = node.outputs, ""
    shape = graph.shape(output[0])
    add = next((n for n in graph.nodes if output[0] in n.inputs and n.op == "Add"), None)
    if add is not None and graph.uses[output[0]] == 1 and shape:
        for data, other in ways(add.inputs):
            if data == output[0] and graph.shape(other) == shape[-1:] and other in graph.constants:
                bias, output = other, add.outputs
                old = [*old, add]
                break
    levels = graph.producer(multiply.inputs[0], "DynamicQuantizeLinear")
    weights = multiply.inputs[1]
    if levels is None or weights not in graph.constants:
        return
    points = [*multiply.inputs, "", ""][2:4]
    reads = [graph.uses[tensor] for tensor in levels.outputs]
    if reads[:2] == [1, 1] and reads[2] == 1:
        inputs = [levels.inputs[0], weights, *factor.inputs[1:2], points[1], bias]
        graph.replace([levels, *old], [Node("DynamicQuantizeMatMul", inputs, output)])
    else:
        inputs = [*multiply.inputs[:2], *factor.inputs, *points, bias]
        graph.replace(old, [Node("MatMulIntegerToFloat", inputs, output)])
