"""Slices that together are a whole tensor, rewritten as the one split that runtimes run."""

from collections import defaultdict

import numpy as np
import onnx
from onnx import helper, numpy_helper


def write_splits(graph: onnx.GraphProto) -> None:
    """Write slices along channels that share out a tensor in equal parts as one split.

    torch's exporter writes each part as a slice of its own, but what is deployed
    must be what was measured.

    Args:
        graph: Changed in place; bounds that nothing else reads are removed.
    """
    constants = {item.name: item for item in graph.initializer}
    slices: dict[str, list[tuple[int, int, onnx.NodeProto]]] = defaultdict(list)
    for node in graph.node:
        if node.op_type != "Slice" or any(name not in constants for name in node.input[1:]):
            continue
        bounds = [
            numpy_helper.to_array(constants[name]).ravel().tolist() for name in node.input[1:]
        ]
        if bounds[2:3] == [[1]] and bounds[3:] in ([], [[1]]):
            slices[node.input[0]].append((bounds[0][0], bounds[1][0], node))
    freed = set()
    for tensor, found in slices.items():
        found.sort(key=lambda item: item[0])
        size = found[0][1]
        if [item[:2] for item in found] != [
            (index * size, (index + 1) * size) for index in range(len(found))
        ]:
            continue
        if size * len(found) != _channels(graph, tensor):
            continue
        nodes = [node for _, _, node in found]
        sizes = f"{tensor}.sizes"
        graph.initializer.append(
            numpy_helper.from_array(np.full(len(nodes), size, np.int64), sizes)
        )
        split = helper.make_node(
            "Split",
            [tensor, sizes],
            [node.output[0] for node in nodes],
            name=nodes[0].name,
            axis=1,
        )
        where = min(list(graph.node).index(node) for node in nodes)
        graph.node.insert(where, split)
        for node in nodes:
            freed.update(node.input[1:])
            graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for name in freed - used:
        graph.initializer.remove(constants[name])


def _channels(graph: onnx.GraphProto, tensor: str) -> int:
    """Channels of a tensor; 0 where they are not stated."""
    for item in (*graph.value_info, *graph.input):
        if item.name == tensor:
            return int(item.type.tensor_type.shape.dim[1].dim_value)
    return 0
