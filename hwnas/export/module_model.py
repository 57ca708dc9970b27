"""A user's own module as torch exports it, alone and for one shape."""

from functools import lru_cache

import onnx
import torch

from hwnas.errors import SpecError
from hwnas.export.torch_onnx import to_onnx
from hwnas.nets.modules import own_module
from hwnas.spaces.layers import Shape
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
