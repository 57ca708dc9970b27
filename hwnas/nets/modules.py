"""Users' own torch modules: building one from its path, and what there is to know of it."""

import difflib
import importlib
import inspect
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from hwnas.errors import SpecError
from hwnas.spaces.layers import Shape
from hwnas.spaces.module_layers import ModuleFacts, OwnModule

_COUNT = 2
"""Images that a module is run on: more than one, to see that it keeps the batch."""


def own_module(layer: OwnModule, shape: Shape, seed: int) -> nn.Module:
    """A new module with weights of its own.

    Its constructor gets the layer's arguments and, where it takes them, ``in_channels``
    (or ``in_features`` for tokens and vectors), ``out_channels`` and ``stride``.

    Args:
        layer: The class and its arguments.
        shape: What it receives, without batch.
        seed: Seed of what the constructor draws.

    Raises:
        SpecError: The class is not found, cannot be built, or is no module.
    """
    build = _loaded(layer.path)
    taken = inspect.signature(build).parameters
    offered = {"in_channels": shape[0], "stride": layer.stride}
    if len(shape) < 3:
        offered = {"in_features": shape[-1]}
    if layer.channels:
        offered["out_channels"] = layer.channels
    keywords = {name: value for name, value in offered.items() if name in taken}
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            found = build(**{**keywords, **dict(layer.arguments)})
    except Exception as error:  # a user's code can raise anything
        raise SpecError(
            f"module '{layer.path}' cannot be built: {error}; it takes {', '.join(taken)}"
        ) from error
    if not isinstance(found, nn.Module):
        raise SpecError(f"'{layer.path}' gives a {type(found).__name__}, not a torch.nn.Module")
    return found


def inspect_module(layer: OwnModule, shape: Shape) -> ModuleFacts:
    """What a module gives, holds and costs, found by running it on zeros.

    Multiply-accumulates are half of what torch's counter of floating-point
    operations finds: convolutions, matrix products and attention.

    Raises:
        SpecError: The module cannot be built or run, or does not give one tensor
            with the batch first.
    """
    module = own_module(layer, shape, 0).eval()
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), counter:
            output = module(torch.zeros(_COUNT, *shape))
    except Exception as error:  # a user's code can raise anything
        raise SpecError(f"module '{layer.path}' does not run on {shape}: {error}") from error
    if not isinstance(output, Tensor) or output.shape[:1] != (_COUNT,):
        given = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise SpecError(
            f"module '{layer.path}' must give one tensor with the batch first, but gives {given} "
            f"for a batch of {_COUNT}"
        )
    return ModuleFacts(
        tuple(output.shape[1:]),
        {name: tuple(value.shape) for name, value in module.named_parameters()},
        counter.get_total_flops() // 2 // _COUNT,
    )


def _loaded(path: str) -> Callable[..., object]:
    where, _, name = path.partition(":")
    try:
        module = importlib.import_module(where)
    except Exception as error:  # importing runs a user's code
        raise SpecError(
            f"module '{path}': '{where}' cannot be imported: {error}; install its package, or put "
            "its folder on PYTHONPATH"
        ) from error
    found: object = getattr(module, name, None)
    if not callable(found):
        near = difflib.get_close_matches(name, dir(module), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise SpecError(f"module '{path}': '{where}' has no class '{name}'{hint}")
    return found
