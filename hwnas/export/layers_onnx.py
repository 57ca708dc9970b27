"""The ONNX interpreter of layers: blocks and architectures as ONNX models, in milliseconds.

The graphs have the operators that ``torch.onnx.export`` writes for the torch
interpreter of the same layers (a test holds the two against each other), with
random weights, which is all that measuring needs.
"""

from collections.abc import Iterable, Mapping

import onnx

from hwnas.export.channel_writers import CHANNEL_WRITERS
from hwnas.export.image_writers import IMAGE_WRITERS, Write
from hwnas.export.module_writers import MODULE_WRITERS
from hwnas.export.onnx_graph import GraphWriter
from hwnas.export.token_writers import TOKEN_WRITERS
from hwnas.spaces.architecture import Architecture, PlacedBlock
from hwnas.spaces.graph import INPUT, LayerGraph
from hwnas.spaces.layers import Layer, Shape

_WRITERS: Mapping[type[Layer], Write] = {
    **IMAGE_WRITERS,
    **CHANNEL_WRITERS,
    **TOKEN_WRITERS,
    **MODULE_WRITERS,
}


class OnnxWriter(GraphWriter):
    """Writes blocks into one ONNX graph."""

    def append(self, graph: LayerGraph, prefix: str) -> None:
        """Write a block onto the end of the chain."""
        names = {INPUT: self.tensor}
        for node in graph.nodes:
            inputs = [names[item] for item in node.inputs]
            write = _WRITERS[type(node.layer)]
            names[node.name] = write(
                self, f"{prefix}.{node.name}", node, inputs, graph.node_input_shapes(node)
            )
            self.state(names[node.name], (self.batch, *graph.shapes[node.name]))
        self.tensor, self.shape = names[graph.output], graph.output_shape

    def depthwise_1x1(self, name: str) -> None:
        """Write the cheapest convolution there is: what stands around a part that is measured."""
        channels = self.shape[0]
        self.tensor = self.node(
            "Conv",
            [
                self.tensor,
                self.random(f"{name}.weight", (channels, 1, 1, 1)),
                self.random(f"{name}.bias", (channels,)),
            ],
            name,
            kernel_shape=[1, 1],
            strides=[1, 1],
            pads=[0, 0, 0, 0],
            group=channels,
        )


def chain_to_onnx(
    blocks: Iterable[PlacedBlock],
    input_shape: Shape,
    *,
    name: str,
    seed: int = 0,
    batch: int = 1,
) -> onnx.ModelProto:
    """A chain of blocks as an ONNX model with random weights.

    Args:
        blocks: The blocks, first to last.
        input_shape: Shape of the input, without batch.
        name: Name of the graph.
        seed: Seed of the weights.
        batch: Batch size.
    """
    writer = OnnxWriter(input_shape, seed=seed, batch=batch)
    return _chained(writer, blocks).model(name)


def _chained(writer: OnnxWriter, blocks: Iterable[PlacedBlock]) -> OnnxWriter:
    for position, item in enumerate(blocks):
        writer.append(item.graph, f"block{position}")
    return writer


def architecture_to_onnx(
    architecture: Architecture, *, seed: int = 0, batch: int = 1
) -> onnx.ModelProto:
    """A whole network as an ONNX model with random weights."""
    return onnx.load_model_from_string(architecture_bytes(architecture, seed=seed, batch=batch))


def architecture_bytes(architecture: Architecture, *, seed: int = 0, batch: int = 1) -> bytes:
    """As :func:`architecture_to_onnx`, serialised; much faster than serialising that."""
    writer = OnnxWriter(architecture.input_shape, seed=seed, batch=batch)
    return _chained(writer, architecture.placed).serialised(architecture.digest)
