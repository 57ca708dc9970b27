"""The torch interpreter of layers: what each primitive layer computes, and how it starts.

The meaning is that of :mod:`hwnas.export.layers_onnx`; tests hold the two
against each other through ONNX Runtime.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from hwnas.errors import SpecError
from hwnas.nets.token_layers import apply_token_layer, initial_token_weight
from hwnas.spaces.channel_layers import ChannelPart, ChannelShuffle, Concat, Zero
from hwnas.spaces.graph import INPUT, LayerGraph, Node
from hwnas.spaces.layers import (
    Activation,
    Add,
    BatchNorm,
    Conv2d,
    Flatten,
    GlobalAveragePool,
    Layer,
    Linear,
    Pool2d,
    Scale,
    Shape,
)

MOMENTUM = 0.1
# torch 2.13 (oneDNN) writes out of bounds on two threads in the weight gradient of a
# strided 1x1 convolution of fewer channels than this, if its input is channels last.
FEW_CHANNELS = 16
LINEAR_STD = 0.01


class Statistics(NamedTuple):
    """Running statistics of a batch norm.

    Args:
        mean: Mean of each channel, ``(channels,)``; written to where ``update`` is true.
        variance: Variance of each channel, ``(channels,)``; the same.
        update: Normalise by the batch and move the running values towards it
            (training); otherwise normalise by the running values.
    """

    mean: Tensor
    variance: Tensor
    update: bool


Interpreter = Callable[[Layer, Sequence[Tensor], Mapping[str, Tensor], Statistics | None], Tensor]

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "relu6": functional.relu6,
    "hardswish": functional.hardswish,
    "hardsigmoid": functional.hardsigmoid,
    "sigmoid": torch.sigmoid,
    "silu": functional.silu,
    "gelu": functional.gelu,
}


def apply_layer(
    layer: Layer,
    inputs: Sequence[Tensor],
    parameters: Mapping[str, Tensor],
    state: Statistics | None = None,
) -> Tensor:
    """The output of a layer.

    Args:
        layer: What to compute.
        inputs: As many tensors as the layer's arity, each with a batch dimension
            before the shape that the layer knows.
        parameters: The layer's trained parameters by name, in the shapes of
            ``layer.parameter_shapes``.
        state: Running statistics of a batch norm; ``None`` normalises by the
            statistics of the batch and keeps nothing. Other layers ignore it.

    Raises:
        SpecError: The layer has no meaning in torch yet.
    """
    image = inputs[0]
    match layer:
        case Conv2d():
            if layer.kernel == 1 and layer.stride > 1 and image.shape[1] < FEW_CHANNELS:
                image = image.contiguous()
            return functional.conv2d(
                image,
                parameters["weight"],
                parameters.get("bias"),
                stride=layer.stride,
                padding=layer.padding,
                groups=layer.groups,
            )
        case BatchNorm():
            mean, variance, update = (None, None, True) if state is None else state
            return functional.batch_norm(
                image,
                mean,
                variance,
                parameters["weight"],
                parameters["bias"],
                training=update,
                momentum=MOMENTUM,
                eps=layer.epsilon,
            )
        case Activation():
            return _ACTIVATIONS[layer.kind](image)
        case Add():
            return image + inputs[1]
        case Scale():
            return image * inputs[1]
        case Pool2d(kind="max"):
            return functional.max_pool2d(image, layer.kernel, layer.stride, layer.padding)
        case Pool2d():
            return functional.avg_pool2d(
                image, layer.kernel, layer.stride, layer.padding, count_include_pad=False
            )
        case GlobalAveragePool():
            return functional.adaptive_avg_pool2d(image, 1)
        case Flatten():
            return torch.flatten(image, 1)
        case Linear():
            return functional.linear(image, parameters["weight"], parameters["bias"])
        case ChannelPart():
            size = image.shape[1] // layer.parts
            return image[:, layer.part * size : (layer.part + 1) * size]
        case Concat():
            return torch.cat(list(inputs), 1)
        case ChannelShuffle():
            count, channels, height, width = image.shape
            apart = image.reshape(count, layer.groups, channels // layer.groups, height, width)
            return apart.transpose(1, 2).reshape(count, channels, height, width)
        case Zero():
            return image * 0.0
    tokens = apply_token_layer(layer, inputs, parameters)
    if tokens is not None:
        return tokens
    raise SpecError(
        f"layer {type(layer).__name__} has no meaning in torch; add one to apply_layer in "
        "hwnas/nets/layers.py"
    )


def initial(layer: Layer, name: str, shape: Shape, generator: torch.Generator) -> Tensor:
    """The value with which a parameter starts to be trained.

    Convolutions keep the size of gradients (He et al., 2015, fan-out, counting
    only the group that a channel reaches); batch norm starts as the identity;
    the classifier starts small, so that the first loss is that of a uniform guess.

    Args:
        layer: The layer that holds the parameter.
        name: The parameter's name in the layer.
        shape: Its shape; may be larger than the layer's own, where weights are shared.
        generator: Source of randomness.
    """
    if name != "weight":
        return torch.zeros(shape)
    if isinstance(layer, BatchNorm):
        return torch.ones(shape)
    weight = initial_token_weight(layer, shape, generator)
    if weight is not None:
        return weight
    std = LINEAR_STD
    if isinstance(layer, Conv2d):
        std = math.sqrt(2 * layer.groups / (shape[0] * math.prod(shape[2:])))
    return torch.randn(shape, generator=generator) * std


def live_nodes(graph: LayerGraph) -> tuple[Node, ...]:
    """The nodes that the output depends on, in topological order."""
    needed, kept = {graph.output}, []
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
            kept.append(node)
    return tuple(reversed(kept))


def run_graph(
    graph: LayerGraph, image: Tensor, compute: Callable[[Node, Sequence[Tensor]], Tensor]
) -> Tensor:
    """The output of a graph of layers; layers that it does not depend on are not computed.

    Args:
        graph: The layers.
        image: The input, with a batch dimension.
        compute: The output of one node for its inputs.
    """
    tensors = {INPUT: image}
    for node in live_nodes(graph):
        tensors[node.name] = compute(node, [tensors[name] for name in node.inputs])
    return tensors[graph.output]
