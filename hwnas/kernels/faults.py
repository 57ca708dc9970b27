"""Operators that no runtime runs, which ONNX's shape inference lets through."""

from collections.abc import Callable, Mapping

from hwnas.errors import ShapeError
from hwnas.kernels.reading import Reading
from hwnas.kernels.sizes import gather, local_response, reshape, resize
from hwnas.kernels.weights import (
    convolution,
    layer_normalisation,
    normalisation,
    quantised_convolution,
    recurrent,
    slope,
)
from hwnas.kernels.windows import window

Check = Callable[[Reading], str | None]

_INPUTS: Mapping[str, tuple[Check, ...]] = {
    **dict.fromkeys(("Conv", "ConvInteger", "ConvTranspose"), (convolution, window)),
    "QLinearConv": (convolution, quantised_convolution, window),
    **dict.fromkeys(("AveragePool", "LpPool", "MaxPool"), (window,)),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization"), (normalisation,)),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), (layer_normalisation,)),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), (recurrent,)),
    **dict.fromkeys(("Gather", "GatherElements"), (gather,)),
    **dict.fromkeys(("Resize", "Upsample"), (resize,)),
    "LRN": (local_response,),
    "PRelu": (slope,),
}
_OUTPUTS: Mapping[str, Check] = {"Reshape": reshape}


def check_inputs(reading: Reading, called: str, model: str) -> None:
    """Refuse an operator whose inputs and attributes do not fit together.

    Args:
        reading: The operator with what is known of its inputs.
        called: Its name in the model, ``""`` where it has none.
        model: What to call the model in errors.

    Raises:
        ShapeError: No runtime would run it.
    """
    for check in () if reading.node.domain else _INPUTS.get(reading.node.op, ()):
        _refuse(check(reading), reading, called, model)


def check_outputs(reading: Reading, called: str, model: str) -> None:
    """As :func:`check_inputs`, when the shapes of its outputs are known too.

    Raises:
        ShapeError: No runtime would run it.
    """
    check = None if reading.node.domain else _OUTPUTS.get(reading.node.op)
    if check is not None:
        _refuse(check(reading), reading, called, model)


def _refuse(fault: str | None, reading: Reading, called: str, model: str) -> None:
    if fault is not None:
        label = f"{reading.node.op} '{called}'" if called else reading.node.op
        raise ShapeError(f"'{model}': {label}: {fault}; the model cannot run, export it again")
