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


def channels_last(module: nn.Module) -> torch.memory_format:
    """Bring convolution weights into the layout in which networks train; returns it.

    Small networks train faster channels last on a CPU.
    """
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return torch.channels_last
