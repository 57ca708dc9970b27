"""The values with which a layer of a child starts, taken from its parent's layer.

Wider layers repeat units and divide the weights that read them (Net2Wider, Chen
et al., 2016); larger kernels are the parent's, in the middle of zeros (Wei et
al., 2016).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hwnas.nets.channel_classes import Indices
from hwnas.nets.wiring import Wired
from hwnas.spaces.layers import BatchNorm, Conv2d, Linear
from hwnas.spaces.token_layers import (
    ClassToken,
    LayerNorm,
    LayerScale,
    PatchConv2d,
    PositionEmbedding,
    TokenLinear,
)

Values = dict[str, Tensor]
MIXING = (Conv2d, Linear, TokenLinear, PatchConv2d)
"""Layers that sum over the channels that they read."""


class Step(NamedTuple):
    """One layer with parameters, beside the parent's that it continues.

    Args:
        node: The child's layer.
        other: The parent's, of the same type.
        incoming: For each channel that the layer reads, the channel that the
            parent's reads; -1 for new ones, which are read with weights of zero.
        outgoing: The same for its output; -1 for new ones, which keep ``fresh`` values.
        old: The parent's parameters and running statistics by name.
        fresh: The child's.
        factor: What the layer reads is so many times what the parent's reads.
    """

    node: Wired
    other: Wired
    incoming: Indices
    outgoing: Indices
    old: Mapping[str, Tensor]
    fresh: Mapping[str, Tensor]
    factor: float = 1.0


class Taken(NamedTuple):
    """What a layer takes from its parent's.

    Args:
        values: Parameters and running statistics; those that are left out stay as they are.
        inherited: How many of the trained numbers come from the parent.
        lost: Why the layer computes something else than the parent's does; empty
            where it computes the same of the same.
    """

    values: Values
    inherited: int
    lost: str


class Sharing:
    """How replicas of a unit divide the weights that read it.

    In equal parts, replicas would get equal gradients and stay equal for ever,
    so their parts differ at random; they add up to one all the same.

    Args:
        spread: By how much parts differ from equal ones before they are
            normalised, 0 to below 1; 0 divides by the number of replicas.
        seed: Seed of the parts.
    """

    def __init__(self, spread: float, seed: int) -> None:
        self._spread = spread
        self._random = np.random.default_rng(seed)

    def parts(self, sources: Indices) -> NDArray[np.float64]:
        """The part of each reader, ``(groups, channels)``.

        Args:
            sources: The parent's channel of each channel, by group; below 0 for
                new ones, whose part means nothing.
        """
        weights = 1 + self._spread * self._random.uniform(-1, 1, sources.shape)
        span = sources.max(initial=0) + 2
        keys = np.arange(len(sources))[:, None] * span + sources + 1
        totals = np.bincount(keys.reshape(-1), weights.reshape(-1))
        parts: NDArray[np.float64] = weights / totals[keys]
        return parts


def take(step: Step, sharing: Sharing) -> Taken:
    """The values of one layer with parameters.

    Args:
        step: The layer, and what it takes from.
        sharing: How replicas are read.
    """
    layer, old, fresh = step.node.layer, step.old, step.fresh
    match layer:
        case Conv2d() | Linear() | TokenLinear() | PatchConv2d():
            return _mixed(step, sharing)
        case BatchNorm():
            return _gathered(step, _other_epsilon(step))
        case LayerNorm():
            known = step.outgoing[step.outgoing >= 0]
            counts = np.bincount(known, minlength=len(old["weight"]))
            even = len(known) == len(step.outgoing) and len(set(counts.tolist())) == 1
            uneven = "" if even else "features are not all repeated equally often"
            return _gathered(step, _other_epsilon(step) or uneven)
        case LayerScale():
            return _gathered(step, "")
        case ClassToken() | PositionEmbedding():
            if len(old["weight"]) == len(fresh["weight"]):
                return _gathered(step, "")
            return Taken({}, 0, "there are more or fewer tokens")
    return Taken({}, 0, "no rule says how its weights are inherited")


def _other_epsilon(step: Step) -> str:
    return "" if step.node.layer == step.other.layer else "its epsilon is another"


def _gathered(step: Step, lost: str) -> Taken:
    """Values of which each belongs to one channel, the last dimension."""
    known, index = step.outgoing >= 0, step.outgoing.clip(0)
    values, held = {}, 0
    for name, value in step.fresh.items():
        keep, source = (torch.from_numpy(item).to(value.device) for item in (known, index))
        values[name] = torch.where(keep, step.old[name][..., source], value)
        if name in ("weight", "bias"):
            held += int(known.sum()) * (value.numel() // value.shape[-1])
    return Taken(values, held, lost)


def _mixed(step: Step, sharing: Sharing) -> Taken:
    """Convolutions and matrix products: a row for each output, a column for each input.

    One rule for dense, grouped and depthwise ones: an output reads, within its
    own group, replicas of what the parent's output reads within its group.
    """
    node, other, incoming, outgoing, old, fresh, factor = step
    start, weight = fresh["weight"], old["weight"]
    if isinstance(node.layer, PatchConv2d) and start.shape[2:] != weight.shape[2:]:
        return Taken({}, 0, "patches have another size")
    groups, theirs = (getattr(layer, "groups", 1) for layer in (node.layer, other.layer))
    sources = incoming.reshape(groups, -1)
    lane = np.arange(len(outgoing)) // (len(outgoing) // groups)
    span = weight.shape[1]
    first = outgoing // (len(weight) // theirs) * span
    columns = sources[lane] - first[:, None]
    known = outgoing >= 0
    held = known[:, None] & (sources[lane] >= 0) & (columns >= 0) & (columns < span)
    parts = np.where(held, sharing.parts(sources)[lane], 0.0)

    def tensor(array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(start.device)

    kernel = _centred(weight.reshape(*weight.shape[:2], *_sides(weight)), _sides(start)[0])
    found = kernel[tensor(outgoing.clip(0))[:, None], tensor(columns.clip(0, span - 1))]
    found = found * tensor(parts / factor).to(start.dtype)[..., None, None]
    # Where a row is new, so are its weights.
    keep = tensor(known).view(-1, *[1] * (start.ndim - 1))
    values = {"weight": torch.where(keep, found.reshape(start.shape), start)}
    common = min(_sides(start)[0], _sides(weight)[0]) ** 2
    inherited = int(held.sum()) * common
    if "bias" in fresh:
        bias = old.get("bias", weight.new_zeros(len(weight)))
        values["bias"] = torch.where(tensor(known), bias[tensor(outgoing.clip(0))], fresh["bias"])
        inherited += int(known.sum()) * ("bias" in old)
    return Taken(values, inherited, _lost(step, parts[known].sum(1), span))


def _lost(step: Step, read: NDArray[np.float64], span: int) -> str:
    """Why a layer that mixes computes something else; ``read`` of ``span`` channels, by row."""
    node, other = step.node, step.other
    before, after = (getattr(layer, "kernel", 1) for layer in (other.layer, node.layer))
    strides = tuple(getattr(layer, "stride", 1) for layer in (other.layer, node.layer))
    if strides[0] != strides[1]:
        return f"its stride is {strides[1]} instead of {strides[0]}"
    # Rows of zeros around an image as small as that are all that a larger kernel sees.
    if after < before and after // 2 < max(node.input_shapes[0][1:]) - 1:
        return f"its kernel is cropped from {before} to {after}"
    if not np.allclose(read, span):
        return "it reads not all channels that the parent's reads"
    if "bias" in step.old and "bias" not in node.parameter_shapes:
        return "it has no bias"
    return ""


def _sides(weight: Tensor) -> tuple[int, int]:
    """Height and width of a kernel, 1 for a matrix."""
    return (weight.shape[2], weight.shape[3]) if weight.ndim == 4 else (1, 1)


def _centred(kernel: Tensor, side: int) -> Tensor:
    """A kernel with zeros around it, or its middle."""
    if kernel.shape[-1] == side:
        return kernel
    margin = (side - kernel.shape[-1]) // 2
    return functional.pad(kernel, (margin, margin, margin, margin))
