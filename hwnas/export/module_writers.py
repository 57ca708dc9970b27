"""How a user's own module is written in ONNX: as torch exports it."""

from collections.abc import Mapping
from functools import lru_cache

import onnx
import torch

from hwnas.errors import SpecError
from hwnas.export.image_writers import Write
from hwnas.export.onnx_graph import GraphWriter
from hwnas.export.torch_onnx import to_onnx
from hwnas.nets.modules import own_module
from hwnas.spaces.graph import Node
from hwnas.spaces.layers import Layer, Shape
from hwnas.spaces.module_layers import OwnModule


@lru_cache(maxsize=512)
def module_model(layer: OwnModule, shape: Shape, batch: int) -> onnx.ModelProto:
    """A module as torch exports it, with all shapes stated; a second or two, then kept.

    Args:
        layer: The module.
        shape: What it receives, without batch.
        batch: Batch size, static.

    Raises:
        SpecError: torch cannot export it, or not to operators of ONNX itself.
    """
    module = own_module(layer, shape, 0)
    try:
        model = to_onnx(module, torch.zeros(batch, *shape))
    except Exception as error:  # the exporter has no common base for what it raises
        raise SpecError(f"module '{layer.path}' cannot be exported to ONNX: {error}") from error
    foreign = {node.domain for node in model.graph.node} - {""}
    nested = any(
        item.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
        for node in model.graph.node
        for item in node.attribute
    )
    if foreign or nested:
        what = f"operators of {', '.join(sorted(foreign))}" if foreign else "branches or loops"
        raise SpecError(f"module '{layer.path}' is exported with {what}, which cannot be priced")
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def _module(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    layer = node.layer
    assert isinstance(layer, OwnModule)
    return w.splice(module_model(layer, shapes[0], w.batch).graph, name, inputs[0])


MODULE_WRITERS: Mapping[type[Layer], Write] = {OwnModule: _module}
