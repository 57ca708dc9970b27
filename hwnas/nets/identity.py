"""Layers that change nothing: new ones that stand between inherited ones (Net2Deeper)."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hwnas.nets.roles import Role, Roles
from hwnas.nets.wiring import Wired, Wiring
from hwnas.spaces.channel_layers import ChannelPart, ChannelShuffle, Concat
from hwnas.spaces.layers import Activation, BatchNorm, Conv2d, Layer

Moments = tuple[Tensor, Tensor]
"""Mean and variance of each channel."""

LEAST_VARIANCE = 1e-3
MOVING = (ChannelPart, ChannelShuffle, Concat)


def identity_values(
    node: Wired, fresh: Mapping[str, Tensor], moments: Moments | None
) -> dict[str, Tensor]:
    """Values with which a layer gives what it receives.

    A batch norm undoes its own normalisation. With the true moments it does so
    for batch statistics as well, so that training starts from where the parent was.

    Args:
        node: A convolution that keeps the shape, a batch norm, or a layer without parameters.
        fresh: Its values by name, of the right shapes.
        moments: What the layer can expect to receive; ``None`` where it is not known.
    """
    if isinstance(node.layer, Conv2d):
        weight = torch.zeros_like(fresh["weight"])
        rows = torch.arange(len(weight), device=weight.device)
        middle = node.layer.kernel // 2
        weight[rows, rows % weight.shape[1], middle, middle] = 1
        return {name: torch.zeros_like(value) for name, value in fresh.items()} | {"weight": weight}
    if isinstance(node.layer, BatchNorm):
        mean, variance = moments or (fresh["running_mean"], fresh["running_var"])
        deviation = (variance + node.layer.epsilon).sqrt()
        return {
            "weight": deviation,
            "bias": mean,
            "running_mean": mean,
            "running_var": variance,
        }
    return {}


def expected_moments(
    wiring: Wiring, roles: Roles, values: Mapping[str, Tensor], tensor: str
) -> Moments | None:
    """Mean and variance of each channel of a tensor, as far as batch norms tell them.

    What a batch norm gives has its bias and its scale as moments; it is taken for
    normal where ReLU follows.

    Args:
        wiring: The network.
        roles: Its layers that are the identity.
        values: Parameters by ``<layer>.<parameter>``.
        tensor: The tensor's name.
    """
    node = wiring.by_name.get(tensor)
    if node is None:
        return None
    same = roles.get(tensor) is Role.IDENTITY
    if isinstance(node.layer, BatchNorm) and not same:
        return values[f"{tensor}.bias"], values[f"{tensor}.weight"] ** 2
    rectifies = node.layer == Activation("relu") and not same
    passes = same and len(node.inputs) == 1
    if not (rectifies or passes or isinstance(node.layer, MOVING)):
        return None
    inputs = [expected_moments(wiring, roles, values, name) for name in node.inputs]
    known = [item for item in inputs if item is not None]
    if len(known) < len(inputs):
        return None
    if rectifies:
        return _rectified(*known[0])
    mean, variance = (_moved(node.layer, [pair[i] for pair in known]) for i in (0, 1))
    return mean, variance


def _moved(layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """Values of channels where the channels of a layer's output are."""
    match layer:
        case ChannelPart(part=part, parts=parts):
            return inputs[0].chunk(parts)[part]
        case ChannelShuffle(groups=groups):
            return inputs[0].view(groups, -1).T.reshape(-1)
        case Concat():
            return torch.cat(list(inputs))
    return inputs[0]


def _rectified(mean: Tensor, variance: Tensor) -> Moments:
    """Moments of the positive part of normal numbers (Frey and Hinton, 1999)."""
    deviation = variance.sqrt().clamp_min(1e-6)
    ratio = mean / deviation
    below = 0.5 * (1 + torch.erf(ratio / math.sqrt(2)))
    density = torch.exp(-(ratio**2) / 2) / math.sqrt(2 * math.pi)
    first = mean * below + deviation * density
    second = (mean**2 + variance) * below + mean * deviation * density
    return first, (second - first**2).clamp_min(LEAST_VARIANCE)
