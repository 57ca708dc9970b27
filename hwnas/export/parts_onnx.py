"""Models that measure one part: a kernel or a block as it stands inside a network.

A part alone carries costs that it does not have in a network: its runtime
reorders images at the model's edges, and fusions across the edge are lost. So a
part that takes or gives an image stands between 1×1 depthwise convolutions, and
what these and the reorders cost is measured by *edge* models (two such
convolutions and nothing else) and taken off:

    part = model − call − ½ Σ (edge − call) over the part's edges
"""

from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from hwnas.export.kernel_writer import is_edge
from hwnas.export.kernels_onnx import kernel_model
from hwnas.export.layers_onnx import OnnxWriter
from hwnas.export.onnx_graph import IR_VERSION, OPSET
from hwnas.export.weights import serialised
from hwnas.kernels.kernel import Kernel, Shape
from hwnas.spaces.architecture import PlacedBlock

CALL = "call"


@dataclass(frozen=True)
class Part:
    """A part's model and the edges whose cost is taken off.

    Args:
        key: What the part is called in a profile.
        model: Serialised ONNX.
        edges: Shapes, with batch, of the images at its wrapped edges.
    """

    key: str
    model: bytes
    edges: tuple[Shape, ...] = ()


def edge_key(shape: Shape) -> str:
    """Name of the edge model of an image shape, with batch."""
    return "edge:" + "x".join(map(str, shape))


def edge_shape(key: str) -> Shape:
    """The image shape of an edge model's name."""
    return tuple(int(size) for size in key.removeprefix("edge:").split("x"))


def call_part() -> Part:
    """An almost empty model: what one call of the runtime costs."""
    node = helper.make_node("Relu", ["input"], ["output"])
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "call",
        [value("input", TensorProto.FLOAT, [1])],
        [value("output", TensorProto.FLOAT, [1])],
    )
    return Part(CALL, _serialise(graph))


def edge_part(shape: Shape) -> Part:
    """Two 1×1 depthwise convolutions on an image of a shape, with batch."""
    writer = OnnxWriter(shape[1:], batch=shape[0])
    writer.depthwise_1x1("first")
    writer.depthwise_1x1("second")
    return Part(edge_key(shape), writer.serialised("edge"))


def canary_model() -> bytes:
    """A small fixed network of mixed kernels that tells slow time from quiet time."""
    writer = OnnxWriter((32, 16, 16))
    for position in range(2):
        writer.depthwise_1x1(f"depthwise{position}")
        writer.tensor = writer.node(
            "Conv",
            [writer.tensor, writer.random(f"weight{position}", (32, 32, 3, 3))],
            f"dense{position}",
            kernel_shape=[3, 3],
            pads=[1, 1, 1, 1],
        )
    return writer.serialised("canary")


def block_part(block: PlacedBlock, *, batch: int = 1) -> Part:
    """A block between 1×1 depthwise convolutions, where its edges are images."""
    writer = OnnxWriter(block.input_shape, batch=batch)
    edges: list[Shape] = []
    if is_edge((batch, *block.input_shape)):
        writer.depthwise_1x1("before")
        edges.append((batch, *block.input_shape))
    writer.append(block.graph, "block")
    if is_edge((batch, *writer.shape)):
        writer.depthwise_1x1("after")
        edges.append((batch, *writer.shape))
    return Part(f"block:{block.key}", writer.serialised("block"), tuple(edges))


def kernel_part(kernel: Kernel) -> Part | None:
    """A kernel between 1×1 depthwise convolutions; ``None`` where it cannot be stood alone."""
    found = kernel_model(kernel)
    return None if found is None else Part(f"kernel:{kernel.key}", *found)


def _serialise(graph: onnx.GraphProto) -> bytes:
    model = helper.make_model(
        graph,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="hwnas",
    )
    return serialised(model, {})
