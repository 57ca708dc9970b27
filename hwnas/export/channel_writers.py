"""How layers that take channels apart, put them together or wipe them are written in ONNX."""

from collections.abc import Mapping

import numpy as np

from hwnas.export.image_writers import Write, plain
from hwnas.export.onnx_graph import GraphWriter
from hwnas.spaces.channel_layers import ChannelPart, ChannelShuffle, Concat, Zero
from hwnas.spaces.graph import Node
from hwnas.spaces.layers import Layer, Shape


def _part(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    layer = node.layer
    assert isinstance(layer, ChannelPart)
    channels, height, width = shapes[0]
    return w.split(inputs[0], layer.parts, (w.batch, channels, height, width))[layer.part]


def _shuffle(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    layer = node.layer
    assert isinstance(layer, ChannelShuffle)
    channels, height, width = shapes[0]
    per_group = channels // layer.groups
    apart = (w.batch, layer.groups, per_group, height, width)
    tensor = w.reshape(f"{name}.apart", inputs[0], apart)
    tensor = w.node("Transpose", [tensor], f"{name}.swapped", perm=[0, 2, 1, 3, 4])
    w.state(tensor, (w.batch, per_group, layer.groups, height, width))
    return w.reshape(name, tensor, (w.batch, *shapes[0]))


def _zero(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    return w.node("Mul", [*inputs, w.weight(f"{name}.factor", np.array(0, np.float32))], name)


CHANNEL_WRITERS: Mapping[type[Layer], Write] = {
    ChannelPart: _part,
    Concat: plain("Concat", axis=1),
    ChannelShuffle: _shuffle,
    Zero: _zero,
}
