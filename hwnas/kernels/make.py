"""The kernel of an operator: which attributes and which tensors its cost depends on."""

from collections.abc import Mapping, Sequence
from typing import Any

from hwnas.kernels.graph import Graph, Node
from hwnas.kernels.kernel import Attribute, Kernel

_WINDOW = ("kernel_shape", "strides", "pads", "dilations", "auto_pad", "ceil_mode")
_CONV = ("group", "kernel_shape", "strides", "pads", "dilations", "auto_pad")
_RECURRENT = ("hidden_size", "direction", "layout", "linear_before_reset")
_REDUCED = ("axes", "keepdims")
_REDUCTIONS = tuple(
    f"Reduce{name}" for name in "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()
)

_KEPT_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "Conv": _CONV,
    "QLinearConv": _CONV,
    "ConvInteger": _CONV,
    "ConvTranspose": (*_CONV, "output_padding"),
    "MaxPool": _WINDOW,
    "AveragePool": (*_WINDOW, "count_include_pad"),
    "QLinearAveragePool": (*_WINDOW, "count_include_pad"),
    "LpPool": _WINDOW,
    "Gemm": ("transA", "transB"),
    "QGemm": ("transA", "transB"),
    "MatMul": ("transA", "transB"),
    **dict.fromkeys(_REDUCTIONS, _REDUCED),
    **dict.fromkeys(
        ("Concat", "Flatten", "Gather", "GatherElements", "LayerNormalization", "LogSoftmax")
        + ("QLinearConcat", "QLinearSoftmax", "SimplifiedLayerNormalization", "Softmax", "Split")
        + ("RMSNormalization", "ScatterElements", "Hardmax"),
        ("axis",),
    ),
    **dict.fromkeys(("ArgMax", "ArgMin"), ("axis", "keepdims")),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _RECURRENT),
    "Attention": ("q_num_heads", "kv_num_heads", "is_causal"),
    "Cast": ("to",),
    "CumSum": ("axis", "exclusive", "reverse"),
    "DepthToSpace": ("blocksize", "mode"),
    "SpaceToDepth": ("blocksize",),
    "Einsum": ("equation",),
    "GroupNormalization": ("num_groups",),
    "LRN": ("size",),
    "Pad": ("mode", "pads"),
    "Resize": ("mode", "coordinate_transformation_mode", "nearest_mode"),
    "Upsample": ("mode",),
    "Slice": ("starts", "ends", "axes", "steps"),
    "TopK": ("axis", "k", "largest"),
    "Transpose": ("perm",),
}
_DEFAULTS: Mapping[str, Any] = {
    "auto_pad": "NOTSET",
    "group": 1,
    "ceil_mode": 0,
    "transA": 0,
    "transB": 0,
    "count_include_pad": 0,
    "keepdims": 1,
    "exclusive": 0,
    "reverse": 0,
    "direction": "forward",
    "layout": 0,
    "linear_before_reset": 0,
    "largest": 1,
    "is_causal": 0,
}
_ALIASES = {"Squeeze": "Reshape", "Unsqueeze": "Reshape", "Flatten": "Reshape"}

_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_REDUCTIONS, ("axes",)),
    "Slice": ("starts", "ends", "axes", "steps"),
    "Pad": ("pads", "", "axes"),
    "TopK": ("k",),
    "CumSum": ("axis",),
    "Split": ("split",),
    **dict.fromkeys(("Tile", "Expand", "Upsample"), ("",)),
    "Resize": ("", "", ""),
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze", "Flatten"), ("",)),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), ("", "")),
}
"""Inputs after the first that say how, not what: by the attribute that they stand for."""

_QUANTISED_TENSORS: Mapping[str, tuple[int, ...]] = {
    "QLinearConv": (0, 3, 8),
    "QLinearMatMul": (0, 3),
    "QGemm": (0, 3, 6),
    "ConvInteger": (0, 1),
    "MatMulInteger": (0, 1),
    "QLinearAdd": (0, 3),
    "QLinearMul": (0, 3),
    "DynamicQuantizeMatMul": (0, 1, 4),
    "MatMulIntegerToFloat": (0, 1, 6),
    **dict.fromkeys(
        ("QLinearAveragePool", "QLinearGlobalAveragePool", "QLinearLeakyRelu")
        + ("QLinearSigmoid", "QLinearSoftmax"),
        (0,),
    ),
}
"""Inputs that are tensors of levels; the others are scales and zero points."""


def kernel_of(
    graph: Graph, node: Node, fused: Sequence[str], more: Sequence[str], output: str
) -> Kernel | None:
    """The kernel of an operator with what is fused to it.

    Args:
        graph: Where it stands.
        node: The operator.
        fused: Types of the operators that run in its kernel.
        more: Tensors that these read.
        output: What the last of them writes.

    Returns:
        ``None`` if the shape of a tensor is not known.
    """
    tensors = [tensor for tensor in (*_tensors(node), *more) if tensor]
    outputs = [tensor for tensor in (output, *node.outputs[1:]) if tensor]
    if not outputs or any(tensor not in graph.types for tensor in (*tensors, outputs[0])):
        return None
    data = [tensor for tensor in tensors if tensor not in graph.constants]
    return Kernel(
        op=_ALIASES.get(node.op, node.op),
        fused=tuple(fused),
        attributes=_attributes(graph, node),
        inputs=tuple(graph.types[tensor][0] for tensor in data),
        weights=tuple(graph.types[tensor][0] for tensor in tensors if tensor in graph.constants),
        outputs=tuple(graph.types[tensor][0] for tensor in outputs if tensor in graph.types),
        dtype=graph.types[data[0] if data else outputs[0]][1],
    )


def _tensors(node: Node) -> list[str]:
    if node.op in _QUANTISED_TENSORS:
        places = _QUANTISED_TENSORS[node.op]
        return [node.inputs[place] for place in places if place < len(node.inputs)]
    if node.op == "QLinearConcat":
        return node.inputs[2::3]
    if node.op in _PARAMETERS:
        return [*node.inputs[:1], *node.inputs[1 + len(_PARAMETERS[node.op]) :]]
    return node.inputs


def _attributes(graph: Graph, node: Node) -> tuple[tuple[str, Attribute], ...]:
    if node.op in _ALIASES:
        return ()
    kept = _KEPT_ATTRIBUTES.get(node.op, ())
    stated = {name: value for name, value in node.attributes.items() if name in kept}
    for name, tensor in zip(_PARAMETERS.get(node.op, ()), node.inputs[1:], strict=False):
        value = graph.integers(tensor)
        if name in kept and value is not None:
            stated[name] = value[0] if name in ("k", "axis") else value
    if "axes" in stated and node.op in _REDUCTIONS:
        rank = len(graph.types[node.inputs[0]][0])
        stated["axes"] = tuple(sorted(axis % rank if rank else 0 for axis in stated["axes"]))
    found: dict[str, Attribute] = {}
    for name, value in stated.items():
        if value is None or value == _DEFAULTS.get(name):
            continue
        if name == "dilations" and set(value) == {1}:
            continue
        if isinstance(value, (int, float, str, tuple)):
            found[name] = value
    return tuple(sorted(found.items()))
