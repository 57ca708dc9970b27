"""Graphs inside operators: the branch that a constant condition takes, and what is captured."""

from collections.abc import Iterator, Mapping

import onnx


def attribute_graphs(proto: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that an operator holds."""
    for item in proto.attribute:
        if item.type == onnx.AttributeProto.GRAPH:
            yield item.g
        elif item.type == onnx.AttributeProto.GRAPHS:
            yield from item.graphs


def graph_attribute(proto: onnx.NodeProto, name: str) -> onnx.GraphProto | None:
    """The graph that an operator holds under a name."""
    return next((item.g for item in proto.attribute if item.name == name), None)


def captured(proto: onnx.NodeProto) -> set[str]:
    """Tensors from outside that the graphs of an operator read."""
    found: set[str] = set()
    for graph in attribute_graphs(proto):
        own = _own(graph)
        read = {item.name for item in graph.output}
        for node in graph.node:
            read |= {*node.input, *captured(node)}
        found |= read - own
    return found - {""}


def branch_nodes(
    branch: onnx.GraphProto, outputs: list[str], prefix: str
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], list[onnx.ValueInfoProto]]:
    """A branch as operators of the graph around it.

    Args:
        branch: The branch, which has no inputs.
        outputs: What its outputs are called outside.
        prefix: What stands before the names of its own tensors.

    Returns:
        Its operators, constants and stated shapes.
    """
    own = _own(branch)
    names = {tensor: f"{prefix}/{tensor}" for tensor in own if tensor}
    constants = {item.name for item in branch.initializer}
    copies: list[onnx.NodeProto] = []
    for item, outside in zip(branch.output, outputs, strict=False):
        # What comes from outside, is a constant or is given twice is passed on.
        if item.name in own - constants and names[item.name].startswith(f"{prefix}/"):
            names[item.name] = outside
        else:
            copies.append(onnx.helper.make_node("Identity", [item.name], [outside]))
    nodes = [_renamed(node, names) for node in branch.node]
    nodes += [_renamed(node, names) for node in copies]
    weights = []
    for constant in branch.initializer:
        weight = onnx.TensorProto()
        weight.CopyFrom(constant)
        weight.name = names[constant.name]
        weights.append(weight)
    stated = []
    for value in branch.value_info:
        info = onnx.ValueInfoProto()
        info.CopyFrom(value)
        info.name = names.get(value.name, value.name)
        stated.append(info)
    return nodes, weights, stated


def _own(graph: onnx.GraphProto) -> set[str]:
    """Tensors that a graph defines."""
    return {
        *(item.name for item in graph.input),
        *(item.name for item in graph.initializer),
        *(item.values.name for item in graph.sparse_initializer),
        *(tensor for node in graph.node for tensor in node.output),
    }


def _renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    _rename(copy, names)
    return copy


def _rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    node.input[:] = [names.get(tensor, tensor) for tensor in node.input]
    node.output[:] = [names.get(tensor, tensor) for tensor in node.output]
    for graph in attribute_graphs(node):
        # ONNX lets no inner tensor have the name of an outer one.
        for inner in graph.node:
            _rename(inner, names)
        for item in graph.output:
            item.name = names.get(item.name, item.name)
