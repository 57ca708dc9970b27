"""Where the parameters of layers live: modules nested along dotted names."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def holder(root: nn.Module, path: str) -> nn.Module:
    """The module at a dotted path below ``root``; what is missing on the way is made.

    Nesting gives parameters the names that people expect, such as
    ``blocks.3.expand.conv.weight``.
    """
    module = root
    for part in path.split("."):
        child = dict(module.named_children()).get(part)
        if child is None:
            child = nn.Module()
            module.add_module(part, child)
        module = child
    return module


def tensors(module: nn.Module, names: Iterable[str]) -> dict[str, Tensor]:
    """Parameters or buffers of a module by name, read anew so that replaced ones are seen."""
    return {name: getattr(module, name) for name in names}


def memory_format(module: nn.Module) -> torch.memory_format:
    """The layout in which a network trains; its convolution weights are brought into it.

    Depthwise convolutions train many times faster channels last. Networks without
    any keep the default layout, because torch 2.13 was seen to crash in the
    backward pass of ResNet-like networks channels last.
    """
    weights = [parameter for parameter in module.parameters() if parameter.ndim == 4]
    depthwise = any(
        weight.shape[1] == 1 and weight.shape[2] > 1 and weight.shape[0] > 8 for weight in weights
    )
    layout = torch.channels_last if depthwise else torch.contiguous_format
    for weight in weights:
        weight.data = weight.data.contiguous(memory_format=layout)
    return layout
