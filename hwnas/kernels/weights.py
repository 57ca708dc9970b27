"""Whether weights fit what they are applied to, which ONNX's shape inference does not check."""

from collections.abc import Mapping

import onnx

from hwnas.errors import ShapeError
from hwnas.kernels.kernel import Shape

Types = Mapping[str, tuple[Shape, str]]


def check_weights(graph: onnx.GraphProto, types: Types, name: str) -> None:
    """Refuse convolutions and normalisations whose weights do not fit their input.

    Args:
        graph: The graph.
        types: Static shape and element type of its tensors, as far as known.
        name: What to call the model in errors.

    Raises:
        ShapeError: Channels, groups or biases do not fit; no runtime would run the model.
    """
    for node in graph.node:
        check_node(node, types, name)


def check_node(node: onnx.NodeProto, types: Types, name: str) -> None:
    """As :func:`check_weights`, of one operator.

    Raises:
        ShapeError: Channels, groups or biases do not fit.
    """
    shapes = [types[tensor][0] if tensor in types else None for tensor in node.input]
    fault = _fault(node, shapes)
    if fault is not None:
        label = f"{node.op_type} '{node.name}'" if node.name else node.op_type
        raise ShapeError(f"'{name}': {label}: {fault}; the model cannot run, export it again")


def _fault(node: onnx.NodeProto, shapes: list[Shape | None]) -> str | None:
    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type in ("Conv", "ConvTranspose"):
        return _convolution(node, shapes)
    if node.op_type in ("BatchNormalization", "InstanceNormalization"):
        return _normalization(shapes)
    return None


def _convolution(node: onnx.NodeProto, shapes: list[Shape | None]) -> str | None:
    data, weight = shapes[0], shapes[1] if len(shapes) > 1 else None
    if data is None or weight is None or min(len(data), len(weight)) < 3:
        return None
    groups = next((item.i for item in node.attribute if item.name == "group"), 1)
    # A transposed convolution's weight has its input channels first.
    transposed = node.op_type == "ConvTranspose"
    taken = weight[0] if transposed else weight[1] * groups
    given = weight[1] * groups if transposed else weight[0]
    if len(data) != len(weight):
        return f"its input {_text(data)} and weight {_text(weight)} differ in rank"
    if taken != data[1]:
        return f"its weight {_text(weight)} takes {taken} channels, its input has {data[1]}"
    if groups < 1 or (weight[0] % groups):
        return f"its {weight[0]} filters do not divide into {groups} groups"
    bias = shapes[2] if len(shapes) > 2 else None
    if bias is not None and bias != (given,):
        return f"its bias {_text(bias)} does not fit {given} output channels"
    return None


def _normalization(shapes: list[Shape | None]) -> str | None:
    data = shapes[0]
    if data is None or len(data) < 2:
        return None
    for shape in shapes[1:]:
        if shape is not None and shape != (data[1],):
            return f"its parameters {_text(shape)} do not fit {data[1]} channels"
    return None


def _text(shape: Shape) -> str:
    return "(" + ",".join(map(str, shape)) + ")"
