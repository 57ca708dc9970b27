"""Trained networks to ONNX through ``torch.onnx.export``, checked against torch."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper
from torch import Tensor

from hwnas.errors import PromiseError
from hwnas.export.torch_onnx import to_onnx
from hwnas.nets.network import Network

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
    model = to_onnx(network, example)
    model.producer_name = "hwnas"
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


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
