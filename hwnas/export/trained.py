"""Trained networks to ONNX through ``torch.onnx.export``, checked against torch."""

import copy
import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor

from hwnas.errors import PromiseError
from hwnas.export.splits import write_splits
from hwnas.nets.network import Network

OPSET = 20
TOLERANCE = 1e-4

Run = Callable[[bytes, Mapping[str, NDArray[Any]]], Mapping[str, NDArray[Any]]]


def network_to_onnx(network: Network, metadata: Mapping[str, str] | None = None) -> bytes:
    """A trained network as an ONNX model with a static batch of one.

    What torch's exporter notes of where its code lies is removed.

    Args:
        network: The network, left as it is; exported with its running statistics.
        metadata: Written into the model, where runtimes can read it.

    Returns:
        Serialised ONNX; input ``input``, output ``output``.
    """
    # In torch's default layout: from weights that are channels last the exporter makes a
    # graph with additional nodes, which is not the one that was measured.
    network = copy.deepcopy(network).eval()
    for parameter in network.parameters():
        parameter.data = parameter.data.clone(memory_format=torch.contiguous_format)
    example = torch.zeros(1, *network.architecture.input_shape)
    log = logging.getLogger("torch.onnx")
    level = log.level
    with warnings.catch_warnings():
        # The exporter warns of its own deprecated calls and of packages that it would
        # only need for other networks; the user can change neither.
        warnings.simplefilter("ignore")
        log.setLevel(logging.ERROR)
        try:
            program = torch.onnx.export(
                network,
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
    model.producer_name = "hwnas"
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


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


@torch.no_grad()
def max_abs_error(network: Network, model: bytes, run: Run, images: Tensor) -> float:
    """The largest difference between torch's logits and the runtime's.

    Args:
        network: The network in torch.
        model: The exported model.
        run: Runs a model on a runtime: outputs by name for inputs by name.
        images: ``(N, C, H, W)``; each is run alone.
    """
    network.eval()
    worst = 0.0
    for image in images:
        expected = network(image[None]).numpy()
        actual = run(model, {"input": image[None].numpy()})["output"]
        worst = max(worst, float(np.abs(expected - actual).max()))
    return worst


def check_parity(error: float) -> None:
    """Refuse an export that does not compute what torch computes.

    Raises:
        PromiseError: The error is above ``TOLERANCE``, or not a number.
    """
    if not error <= TOLERANCE:
        raise PromiseError(
            f"the exported model differs from torch by {error:.2g}, more than {TOLERANCE:g}; "
            "the model was not written"
        )
