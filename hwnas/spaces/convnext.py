"""ConvNeXt's blocks, and the space of networks made of them."""

import math
from collections.abc import Sequence

from hwnas.spaces.architecture import PlacedBlock
from hwnas.spaces.blocks import block
from hwnas.spaces.chain import place, reference
from hwnas.spaces.graph import INPUT, GraphBuilder
from hwnas.spaces.layers import Conv2d, Flatten, GlobalAveragePool, Linear, Shape, check_image
from hwnas.spaces.space import SearchSpace
from hwnas.spaces.staged import Place, Stage, staged
from hwnas.spaces.token_layers import (
    LayerNorm,
    LayerScale,
    PatchConv2d,
    ToImage,
    TokenLinear,
    ToTokens,
)


def _channel_norm(b: GraphBuilder, name: str, source: str) -> str:
    """Layer norm over the channels of each pixel of an image."""
    _, height, width = check_image("layer norm", b.shape(source))
    tensor = b.add(f"{name}.tokens", ToTokens(), source)
    tensor = b.add(name, LayerNorm(), tensor)
    return b.add(f"{name}.image", ToImage(height, width), tensor)


@block("convnext_stem")
def convnext_stem(b: GraphBuilder, *, channels: int, patch: int) -> None:
    """ConvNeXt's first layers: a convolution over patches and layer norm over channels."""
    _channel_norm(b, "norm", b.add("patches", PatchConv2d(channels, patch), INPUT))


@block("convnext_down")
def convnext_down(b: GraphBuilder, *, channels: int, stride: int) -> None:
    """What stands between ConvNeXt's stages: layer norm, a convolution over patches."""
    b.add("patches", PatchConv2d(channels, stride), _channel_norm(b, "norm", INPUT))


@block("convnext")
def convnext(b: GraphBuilder, *, kernel: int, expansion: int, activation: str) -> None:
    """ConvNeXt's block (Liu et al., 2022, figure 4), which keeps the shape.

    Depthwise k×k, then on every pixel layer norm, a linear layer to
    ``expansion`` times the channels, the activation, a linear layer back and layer
    scale; and a shortcut. The pixels are tokens in between, as in the authors'
    code, where linear layers act on an image whose channels are last.
    """
    channels, height, width = check_image("convnext", b.shape())
    tensor = b.add("depthwise", Conv2d(channels, kernel, groups=channels, bias=True), INPUT)
    tensor = b.add("tokens", ToTokens(), tensor)
    tensor = b.add("norm", LayerNorm(), tensor)
    tensor = b.add("mlp.expand", TokenLinear(channels * expansion), tensor)
    tensor = b.act("mlp", tensor, activation)
    tensor = b.add("mlp.project", TokenLinear(channels), tensor)
    tensor = b.add("scale", LayerScale(), tensor)
    tensor = b.add("image", ToImage(height, width), tensor)
    b.residual("residual", INPUT, tensor)


@block("convnext_head")
def convnext_head(b: GraphBuilder, *, classes: int) -> None:
    """Global average pool, layer norm, a linear layer."""
    tensor = b.add("pool", GlobalAveragePool(), INPUT)
    tensor = b.add("tokens", ToTokens(), tensor)
    tensor = b.add("norm", LayerNorm(), tensor)
    tensor = b.add("flatten", Flatten(), tensor)
    b.add("linear", Linear(classes), tensor)


def convnext_space(
    name: str,
    *,
    image_size: int,
    classes: int,
    input_channels: int = 3,
    widths: Sequence[float],
    resolutions: Sequence[float] = (0.75, 0.875, 1.0),
    patch: int,
    stages: Sequence[tuple[int, tuple[int, ...]]],
    kernels: Sequence[int] = (7, 5, 3),
    expansions: Sequence[int] = (4, 2),
) -> SearchSpace:
    """The space of ConvNeXt-like networks for an image size and a number of classes.

    A stem of patches, stages of blocks ``convnext`` with a downsampling before
    each but the first, a linear classifier (Liu et al., 2022). Elastic:
    resolution, width of the whole network, per stage the depth, and per block
    the kernel and the expansion.

    Args:
        name: Name of the space.
        image_size: Largest image size, pixels; sizes are rounded down to multiples of
            what the network divides them by.
        classes: Number of classes.
        input_channels: Channels of the images.
        widths: Multipliers of all channel counts.
        resolutions: Multipliers of the image size.
        patch: Size of the stem's patches, pixels.
        stages: Channels and possible depths of each stage.
        kernels: Depthwise kernel sizes; ConvNeXt's first.
        expansions: Ratios of hidden to incoming channels; ConvNeXt's first.

    Raises:
        SpecError: The image is too small for the strides, or a value is out of range.
    """

    def first(shape: Shape, channels: int) -> PlacedBlock:
        return place("convnext_stem", shape, channels=channels, patch=patch)

    def down(shape: Shape, channels: int, stride: int) -> PlacedBlock:
        return place("convnext_down", shape, channels=channels, stride=stride)

    def block(where: Place, kernel: int, expansion: int) -> PlacedBlock:
        return place(
            "convnext", where.input_shape, kernel=kernel, expansion=expansion, activation="gelu"
        )

    def head(shape: Shape, width: float) -> PlacedBlock:
        return place("convnext_head", shape, classes=classes)

    options = {"kernel": tuple(kernels), "expansion": tuple(expansions)}
    strides = (1, *[2] * (len(stages) - 1))
    space = staged(
        name,
        image_size=image_size,
        classes=classes,
        input_channels=input_channels,
        widths=widths,
        resolutions=resolutions,
        stem=stages[0][0],
        stem_strides=(patch,),
        stages=[
            Stage(channels, stride, depths, options)
            for (channels, depths), stride in zip(stages, strides, strict=True)
        ],
        divisor=8,
        first=first,
        block=block,
        tail={"head": head},
        down=down,
        multiple=patch * math.prod(strides),
    )
    space.references["convnext-like"] = reference(space)
    return space
