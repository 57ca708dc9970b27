"""The torch interpreter of the layers of transformers."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from hwnas.spaces.layers import Layer
from hwnas.spaces.token_layers import (
    Attention,
    ClassToken,
    FirstToken,
    LayerNorm,
    LayerScale,
    MeanToken,
    PatchConv2d,
    PositionEmbedding,
    ToImage,
    TokenLinear,
    ToTokens,
)

LAYER_SCALE = 0.1


def apply_token_layer(
    layer: Layer, inputs: Sequence[Tensor], parameters: Mapping[str, Tensor]
) -> Tensor | None:
    """The output of a layer of transformers; ``None`` for any other.

    Args:
        layer: What to compute.
        inputs: Tensors with a batch dimension, ``(N, tokens, features)``.
        parameters: The layer's trained parameters by name.
    """
    tokens = inputs[0]
    match layer:
        case PatchConv2d():
            return functional.conv2d(
                tokens, parameters["weight"], parameters["bias"], stride=layer.patch
            )
        case ToTokens():
            return tokens.flatten(2).transpose(1, 2)
        case ToImage():
            count, _, features = tokens.shape
            return tokens.transpose(1, 2).reshape(count, features, layer.height, layer.width)
        case LayerScale():
            return tokens * parameters["weight"]
        case ClassToken():
            first = parameters["weight"].expand(len(tokens), 1, -1)
            return torch.cat([first, tokens], 1)
        case PositionEmbedding():
            return tokens + parameters["weight"]
        case LayerNorm():
            return functional.layer_norm(
                tokens,
                tokens.shape[-1:],
                parameters["weight"],
                parameters["bias"],
                layer.epsilon,
            )
        case TokenLinear():
            return functional.linear(tokens, parameters["weight"], parameters["bias"])
        case Attention():
            return _attention(layer.heads, *inputs)
        case FirstToken():
            return tokens[:, 0]
        case MeanToken():
            return tokens.mean(1)
    return None


def _attention(heads: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Written out, so that the exported graph is the one that is measured."""
    count, tokens, features = query.shape
    apart = (count, tokens, heads, features // heads)
    scores = query.view(apart).transpose(1, 2) @ key.view(apart).permute(0, 2, 3, 1)
    weights = torch.softmax(scores * (features // heads) ** -0.5, -1)
    return (weights @ value.view(apart).transpose(1, 2)).transpose(1, 2).reshape(query.shape)


def initial_token_weight(
    layer: Layer, shape: tuple[int, ...], generator: torch.Generator
) -> Tensor | None:
    """The weight with which a layer of transformers starts; ``None`` for any other layer.

    As in ViT (Dosovitskiy et al., 2021): normal numbers with a deviation of
    0.02, for patches with the variance of their fan-in; layer norm is the identity.
    Layer scale starts at 0.1, as CaiT has it up to a depth of 18 (Touvron et al.,
    2021): ConvNeXt's 1e-6 is for long training, and leaves blocks dead in a short one.
    """
    match layer:
        case LayerNorm():
            return torch.ones(shape)
        case LayerScale():
            return torch.full(shape, LAYER_SCALE)
        case PatchConv2d():
            return torch.randn(shape, generator=generator) / math.sqrt(math.prod(shape[1:]))
        case ClassToken() | PositionEmbedding() | TokenLinear():
            return torch.randn(shape, generator=generator) * 0.02
    return None
