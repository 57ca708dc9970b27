"""How a user's own module is written in ONNX: as torch exports it.

The function that asks torch is loaded by its name when the first module is written:
what measures the blocks of a space (``profiling``) does so without torch otherwise.
"""

import importlib
from collections.abc import Mapping

import onnx

from hwnas.export.image_writers import Write
from hwnas.export.onnx_graph import GraphWriter
from hwnas.spaces.graph import Node
from hwnas.spaces.layers import Layer, Shape
from hwnas.spaces.module_layers import OwnModule

EXPORTER = "hwnas.export.module_model:module_model"
"""Takes an :class:`OwnModule`, the shape that it receives and the batch, gives its model."""


def _module(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    layer = node.layer
    assert isinstance(layer, OwnModule)
    where, _, function = EXPORTER.partition(":")
    export = getattr(importlib.import_module(where), function)
    model: onnx.ModelProto = export(layer, shapes[0], w.batch)
    return w.splice(model.graph, name, inputs[0])


MODULE_WRITERS: Mapping[type[Layer], Write] = {OwnModule: _module}
