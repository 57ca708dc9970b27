"""``torch.onnx.export``, and what is changed in what it writes."""

import logging
import warnings

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from hwnas.errors import PromiseError
from hwnas.export.splits import write_splits

OPSET = 20


def to_onnx(module: nn.Module, example: Tensor) -> onnx.ModelProto:
    """A module as ONNX with the example's shape; input ``input``, output ``output``.

    What torch's exporter notes of where its code lies is removed.

    Args:
        module: Put into evaluation mode and exported with its running statistics.
        example: An input, with batch.
    """
    log = logging.getLogger("torch.onnx")
    level = log.level
    with warnings.catch_warnings():
        # The exporter warns of its own deprecated calls and of packages that it would
        # only need for other networks; the user can change neither.
        warnings.simplefilter("ignore")
        log.setLevel(logging.ERROR)
        try:
            program = torch.onnx.export(
                module.eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=["input"],
                output_names=["output"],
                verbose=False,
            )
        finally:
            log.setLevel(level)
    if program is None:
        raise PromiseError("torch's exporter gave no model")
    model = program.model_proto
    _strip(model.graph)
    _write_global_pools(model.graph)
    write_splits(model.graph)
    del model.metadata_props[:]
    return model


def _write_global_pools(graph: onnx.GraphProto) -> None:
    """Write a global pool as itself; torch's exporter writes it as a mean over height and width.

    Runtimes run the two differently, and what is deployed must be what was measured.
    """
    constants = {item.name: item for item in graph.initializer}
    freed = set()
    for node in graph.node:
        if node.op_type != "ReduceMean" or len(node.input) < 2 or node.input[1] not in constants:
            continue
        kept = all(item.i == 1 for item in node.attribute if item.name == "keepdims")
        axes = sorted(numpy_helper.to_array(constants[node.input[1]]).ravel().tolist())
        if kept and axes in ([-2, -1], [2, 3]):
            freed.add(node.input[1])
            node.op_type = "GlobalAveragePool"
            del node.input[1:]
            del node.attribute[:]
    used = {name for node in graph.node for name in node.input}
    for name in freed - used:
        graph.initializer.remove(constants[name])


def _strip(graph: onnx.GraphProto) -> None:
    del graph.metadata_props[:]
    graph.doc_string = ""
    for item in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
