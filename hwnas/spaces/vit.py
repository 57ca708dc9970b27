"""The blocks of vision transformers, and the space of networks made of them."""

from collections.abc import Sequence
from functools import partial

from hwnas.errors import SpecError
from hwnas.spaces.architecture import PlacedBlock
from hwnas.spaces.blocks import block
from hwnas.spaces.chain import check_classes, image_sizes, place, reference
from hwnas.spaces.graph import INPUT, GraphBuilder
from hwnas.spaces.layers import Linear, Shape
from hwnas.spaces.space import Choice, SearchSpace, Slot
from hwnas.spaces.token_layers import (
    Attention,
    ClassToken,
    FirstToken,
    LayerNorm,
    MeanToken,
    PatchConv2d,
    PositionEmbedding,
    TokenLinear,
    ToTokens,
)


@block("patch_embedding")
def patch_embedding(
    b: GraphBuilder, *, dimension: int, patch: int, class_token: bool, positions: bool
) -> None:
    """ViT's first layers: patches to tokens, a class token and positions where wanted."""
    tensor = b.add("patches", PatchConv2d(dimension, patch), INPUT)
    tensor = b.add("tokens", ToTokens(), tensor)
    if class_token:
        tensor = b.add("class_token", ClassToken(), tensor)
    if positions:
        b.add("positions", PositionEmbedding(), tensor)


@block("transformer_block")
def transformer_block(
    b: GraphBuilder, *, heads: int, head_dimension: int, hidden: int, activation: str
) -> None:
    """ViT's block (Dosovitskiy et al., 2021, figure 1): attention, then an MLP.

    Each behind layer norm and with a shortcut. Heads have their own size, so
    that their number does not depend on the tokens' features.
    """
    if head_dimension < 1:
        raise SpecError(f"attention: head_dimension must be at least 1, received {head_dimension}")
    _, features = b.shape()
    inner = heads * head_dimension
    normed = b.add("attention.norm", LayerNorm(), INPUT)
    parts = [
        b.add(f"attention.{part}", TokenLinear(inner), normed) for part in ("query", "key", "value")
    ]
    tensor = b.add("attention.heads", Attention(heads), *parts)
    tensor = b.add("attention.project", TokenLinear(features), tensor)
    middle = b.residual("attention.residual", INPUT, tensor)
    tensor = b.add("mlp.norm", LayerNorm(), middle)
    tensor = b.add("mlp.expand", TokenLinear(hidden), tensor)
    tensor = b.act("mlp", tensor, activation)
    tensor = b.add("mlp.project", TokenLinear(features), tensor)
    b.residual("mlp.residual", middle, tensor)


@block("vit_head")
def vit_head(b: GraphBuilder, *, classes: int, pool: str) -> None:
    """Layer norm, one token (``pool`` is ``"first"`` or ``"mean"``), a linear layer."""
    if pool not in ("first", "mean"):
        raise SpecError(f"vit head: pool must be first or mean, received '{pool}'")
    tensor = b.add("norm", LayerNorm(), INPUT)
    tensor = b.add("token", FirstToken() if pool == "first" else MeanToken(), tensor)
    b.add("linear", Linear(classes), tensor)


def vit(
    name: str,
    *,
    image_size: int,
    classes: int,
    input_channels: int = 3,
    patches: Sequence[int],
    dimensions: Sequence[int],
    depths: Sequence[int],
    heads: Sequence[int],
    ratios: Sequence[float] = (3.0, 4.0),
    head_dimension: int = 64,
    class_token: bool = True,
) -> SearchSpace:
    """The space of vision transformers for an image size and a number of classes.

    Elastic, as in AutoFormer (Chen et al., 2021): the dimension of the tokens
    and the depth, and per block the number of heads and the ratio of the MLP's
    hidden features to the dimension; and the size of the patches.

    Args:
        name: Name of the space.
        image_size: Image size, pixels; a multiple of every patch.
        classes: Number of classes.
        input_channels: Channels of the images.
        patches: Sizes of the patches, pixels.
        dimensions: Features of a token.
        depths: Numbers of blocks, ascending.
        heads: Numbers of heads.
        ratios: Ratios of the MLP.
        head_dimension: Features of a head.
        class_token: Classify by a class token; otherwise by the mean of all.

    Raises:
        SpecError: A patch does not divide the image, or a value is out of range.
    """
    (size,) = image_sizes(name, image_size, (1.0,), (max(patches),))
    for patch in patches:
        if size % patch:
            raise SpecError(
                f"space '{name}': image_size must be a multiple of the patches "
                f"{', '.join(map(str, patches))}, received {size}"
            )
    check_classes(name, classes)

    def tokens(patch: int, dimension: int) -> Shape:
        return ((size // patch) ** 2 + class_token, dimension)

    def first(patch: int, dimension: int) -> PlacedBlock:
        return place(
            "patch_embedding",
            (input_channels, size, size),
            dimension=dimension,
            patch=patch,
            class_token=class_token,
            positions=True,
        )

    def transformer(
        position: int, patch: int, dimension: int, depth: int, count: int, ratio: float
    ) -> PlacedBlock | None:
        if position >= depth:
            return None
        return place(
            "transformer_block",
            tokens(patch, dimension),
            heads=count,
            head_dimension=head_dimension,
            hidden=int(dimension * ratio),
            activation="gelu",
        )

    def head(patch: int, dimension: int) -> PlacedBlock:
        return place(
            "vit_head",
            tokens(patch, dimension),
            classes=classes,
            pool="first" if class_token else "mean",
        )

    choices = [
        Choice("patch", tuple(patches)),
        Choice("dimension", tuple(dimensions)),
        Choice("depth", tuple(depths)),
    ]
    slots = [Slot("embedding", (0, 1), first)]
    for position in range(max(depths)):
        active_from = next(i for i, value in enumerate(depths) if value > position)
        own, label = len(choices), f"block{position + 1}"
        choices.append(Choice(f"{label}.heads", tuple(heads), 2, active_from))
        choices.append(Choice(f"{label}.ratio", tuple(ratios), 2, active_from))
        slots.append(Slot(label, (0, 1, 2, own, own + 1), partial(transformer, position)))
    slots.append(Slot("head", (0, 1), head))
    space = SearchSpace(
        name,
        choices,
        slots,
        input_channels=input_channels,
        image_sizes=[size],
        resolution=None,
        classes=classes,
    )
    space.references["vit-like"] = reference(space, ratio=max)
    return space
