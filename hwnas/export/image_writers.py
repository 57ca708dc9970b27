"""How each layer is written in ONNX, those of images."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hwnas.export.onnx_graph import GraphWriter
from hwnas.spaces.graph import Node
from hwnas.spaces.layers import (
    Activation,
    Add,
    BatchNorm,
    Conv2d,
    Flatten,
    GlobalAveragePool,
    Layer,
    Linear,
    Pool2d,
    Scale,
    Shape,
)

_ACTIVATION_NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "hardswish": ("HardSwish", {}),
    "hardsigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "sigmoid": ("Sigmoid", {}),
    "gelu": ("Gelu", {}),
}


Write = Callable[[GraphWriter, str, Node, list[str], tuple[Shape, ...]], str]
"""Writes a layer: the graph, the name of its output, the node, its inputs and their shapes."""


def _conv(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    layer = node.layer
    assert isinstance(layer, Conv2d)
    constants = [
        w.random(f"{name}.{parameter}", shape)
        for parameter, shape in layer.parameter_shapes(*shapes).items()
    ]
    return w.node(
        "Conv",
        [*inputs, *constants],
        name,
        kernel_shape=[layer.kernel] * 2,
        strides=[layer.stride] * 2,
        pads=[layer.padding] * 4,
        group=layer.groups,
        dilations=[1, 1],
        auto_pad="NOTSET",
    )


def _batch_norm(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    layer = node.layer
    assert isinstance(layer, BatchNorm)
    size = shapes[0][0]
    constants = [
        w.weight(f"{name}.{part}", np.full(size, value, np.float32))
        for part, value in (("weight", 1.0), ("bias", 0.1), ("mean", 0.0), ("variance", 1.0))
    ]
    return w.node("BatchNormalization", [*inputs, *constants], name, epsilon=layer.epsilon)


def _activation(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    layer = node.layer
    assert isinstance(layer, Activation)
    if layer.kind == "relu6":
        bounds = [
            w.weight(f"{name}.{part}", np.array(value, np.float32))
            for part, value in (("low", 0.0), ("high", 6.0))
        ]
        return w.node("Clip", [*inputs, *bounds], name)
    if layer.kind == "silu":
        gate = w.node("Sigmoid", inputs, f"{name}.sigmoid")
        w.state(gate, (w.batch, *shapes[0]))
        return w.node("Mul", [*inputs, gate], name)
    op, attributes = _ACTIVATION_NODES[layer.kind]
    return w.node(op, inputs, name, **attributes)


def _pool(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    layer = node.layer
    assert isinstance(layer, Pool2d)
    common = {
        "kernel_shape": [layer.kernel] * 2,
        "strides": [layer.stride] * 2,
        "pads": [layer.padding] * 4,
    }
    if layer.kind == "max":
        return w.node("MaxPool", inputs, name, **common)
    return w.node("AveragePool", inputs, name, count_include_pad=0, **common)


def _linear(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    constants = [
        w.random(f"{name}.{parameter}", shape)
        for parameter, shape in node.layer.parameter_shapes(*shapes).items()
    ]
    return w.node("Gemm", [*inputs, *constants], name, alpha=1.0, beta=1.0, transB=1)


def plain(op: str, **attributes: Any) -> Write:
    """Writes a layer as one operator without constants."""

    def write(
        w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
    ) -> str:
        return w.node(op, inputs, name, **attributes)

    return write


IMAGE_WRITERS: Mapping[type[Layer], Write] = {
    Conv2d: _conv,
    BatchNorm: _batch_norm,
    Activation: _activation,
    Add: plain("Add"),
    Scale: plain("Mul"),
    Pool2d: _pool,
    GlobalAveragePool: plain("GlobalAveragePool"),
    Flatten: plain("Flatten", axis=1),
    Linear: _linear,
}
