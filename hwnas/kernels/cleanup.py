"""What a runtime takes out of a graph before it looks for operators to fuse."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from hwnas.kernels.graph import Graph, Node
from hwnas.kernels.patterns import ways

_SHARED_CONSTANT = 8
"""Constants of up to so many elements are the same tensor where they are equal."""


def repeated(graph: Graph) -> None:
    """Operators that do the same on the same tensors run once."""
    names: dict[str, str] = {}
    seen: dict[object, Node] = {}
    found: list[tuple[Node, str]] = []
    for tensor, value in graph.values.items():
        if value.size <= _SHARED_CONSTANT:
            names[tensor] = f"{value.dtype}{value.shape}{value.tobytes().hex()}"
    for node in list(graph.nodes):
        if node.reason or node.body is not None or not node.outputs:
            continue
        if node.op.startswith("Random"):
            continue
        if any(output in names for output in node.outputs):
            continue
        inputs = tuple(names.get(tensor, tensor) for tensor in node.inputs)
        key = (node.domain, node.op, inputs, _text(node.attributes), len(node.outputs))
        first = seen.setdefault(key, node)
        if first is node:
            continue
        for own, other in zip(node.outputs, first.outputs, strict=True):
            names[own] = names.get(other, other)
        if len(node.outputs) == 1 and node.outputs[0] not in graph.outputs:
            found.append((node, first.outputs[0]))
    graph.drop_all(found)


def _text(attributes: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (name, value.SerializeToString() if isinstance(value, onnx.TensorProto) else repr(value))
        for name, value in sorted(attributes.items())
    )


def constants_into_convolutions(graph: Graph) -> None:
    """A factor, a shift or a normalisation behind a convolution is folded into its weights."""
    for node in list(graph.nodes):
        if node.op == "BatchNormalization" and not node.domain and len(node.outputs) == 1:
            _fold_normalisation(graph, node)
        if node.op not in ("Mul", "Add") or node.domain:
            continue
        for product, constant in ways(node.inputs):
            conv = graph.inner(product, "Conv")
            if conv is None or constant not in graph.constants:
                continue
            if conv.inputs[1] not in graph.constants or not _per_channel(
                graph, conv, constant, node.op
            ):
                continue
            inputs = list(conv.inputs)
            if node.op == "Add" and len(inputs) == 2:
                bias = f"bias@{node.outputs[0]}"
                channels = (graph.shape(conv.inputs[1]) or (1,))[0]
                graph.types[bias] = ((channels,), graph.types[constant][1])
                graph.constants.add(bias)
                inputs.append(bias)
            graph.replace([conv, node], [Node("Conv", inputs, node.outputs, conv.attributes)])
            break


def _fold_normalisation(graph: Graph, node: Node) -> None:
    conv = graph.inner(node.inputs[0], "Conv")
    if conv is None or any(t not in graph.constants for t in (*conv.inputs[1:], *node.inputs[1:])):
        return
    inputs = list(conv.inputs)
    if len(inputs) == 2:
        inputs.append(node.inputs[2])
    graph.replace([conv, node], [Node("Conv", inputs, node.outputs, conv.attributes)])


def _per_channel(graph: Graph, conv: Node, constant: str, op: str) -> bool:
    weight, shape = graph.shape(conv.inputs[1]), graph.shape(constant)
    if not weight or shape is None:
        return False
    if op == "Mul" and shape == ():
        return True
    wanted = (weight[0], *(1 for _ in weight[2:]))
    return shape in (wanted, (1, *wanted))


def bounded(graph: Graph) -> None:
    """A rectifier before a clip is part of the clip."""
    for node in list(graph.nodes):
        relu = (
            graph.inner(node.inputs[0], "Relu") if node.op == "Clip" and not node.domain else None
        )
        if relu is not None:
            graph.drop(relu, relu.inputs[0])


def padded(graph: Graph) -> None:
    """Zeros around an image are the padding of the convolution or pool that reads it."""
    for node in list(graph.nodes):
        if node.domain:
            continue
        pad = graph.inner(node.inputs[0], "Pad") if node.op in ("Conv", "MaxPool") else None
        shape = graph.shape(pad.inputs[0]) if pad else None
        if pad is None or shape is None or pad.attributes.get("mode", "constant") != "constant":
            continue
        pads = pad.attributes.get("pads")
        if pads is None and len(pad.inputs) > 1:
            pads = graph.integers(pad.inputs[1])
        value = graph.scalar(pad.inputs[2]) if len(pad.inputs) > 2 and pad.inputs[2] else 0.0
        rank = len(shape)
        if pads is None or len(pads) != 2 * rank or value != 0.0 or len(pad.inputs) > 3:
            continue
        if node.op == "MaxPool" or node.attributes.get("auto_pad", "NOTSET") != "NOTSET":
            continue
        if min(pads) < 0 or any(pads[i] for i in (0, 1, rank, rank + 1)):
            continue
        around = [*pads[2:rank], *pads[rank + 2 :]]
        own = node.attributes.get("pads", (0,) * len(around))
        attributes = {**node.attributes, "pads": tuple(np.add(own, around).tolist())}
        new = Node(node.op, [pad.inputs[0], *node.inputs[1:]], node.outputs, attributes)
        graph.replace([pad, node], [new])


def reordered(graph: Graph) -> None:
    """Channels brought to the front for a convolution only: its reorder into blocks does that.

    The image may come as a reshape of transposed tokens ``(batch, pixels, channels)``.
    """
    for node in list(graph.nodes):
        image = graph.shape(node.inputs[0]) if node.op == "Conv" and not node.domain else None
        if image is None or len(image) != 4 or image[1] % 4:
            continue
        if node.attributes.get("group", 1) not in (1, image[1]):
            continue
        reshape = graph.inner(node.inputs[0], "Reshape")
        tokens = reshape.inputs[0] if reshape else node.inputs[0]
        swap = graph.inner(tokens, "Transpose")
        moved = graph.shape(tokens)
        if swap is None or moved is None or moved[:2] != image[:2]:
            continue
        if tuple(swap.attributes.get("perm", ())) == ((0, 2, 1) if reshape else (0, 3, 1, 2)):
            graph.drop(swap, swap.inputs[0])


def unchanged(graph: Graph) -> None:
    """Operators that give what they read: casts to the same type, slices of everything."""
    for node in list(graph.nodes):
        if node.op not in ("Cast", "Slice", "Expand", "Pad", "Tile") or node.domain:
            continue
        if node.inputs[0] in graph.constants or node.op == "Tile":
            continue
        types = [graph.types.get(tensor) for tensor in (node.inputs[0], node.outputs[0])]
        if types[0] is None or types[0] != types[1]:
            continue
        if node.op == "Slice" and _reverses(graph, node):
            continue
        source = node.inputs[0]
        # What the model gives keeps its name, so its producer must write nothing else.
        if node.outputs[0] not in graph.outputs or graph.inner(source):
            graph.drop(node, source)


def _reverses(graph: Graph, node: Node) -> bool:
    if len(node.inputs) < 5:
        return False
    steps = graph.integers(node.inputs[4])
    return steps is None or min(steps, default=1) < 0
