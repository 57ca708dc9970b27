"""A user's own torch module as a block, by the dotted path of its class.

What a layer must know (the shape that it gives, its parameters and its cost) only
torch can tell here, and this room does not import torch. So the function that asks
torch is loaded by its name, when the first such block is built, as a runtime's
engine is: spaces without blocks of this kind never load it.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hwnas.errors import ShapeError, SpecError
from hwnas.spaces.blocks import block
from hwnas.spaces.graph import INPUT, GraphBuilder
from hwnas.spaces.layers import Layer, Shape, check_positive

INSPECTOR = "hwnas.nets.modules:inspect_module"
"""Takes an :class:`OwnModule` and the shape that it receives, gives :class:`ModuleFacts`."""


def is_path(text: object) -> bool:
    """Whether a text is the dotted path of a class, as a kind of block has no colon."""
    return isinstance(text, str) and ":" in text


@dataclass(frozen=True)
class ModuleFacts:
    """What is known of a module on a shape.

    Args:
        output_shape: What it gives, without batch.
        parameter_shapes: Its trained parameters by name, dots included.
        macs: Multiply-accumulates of its convolutions, matrix products and attention.
    """

    output_shape: Shape
    parameter_shapes: Mapping[str, Shape]
    macs: int


@dataclass(frozen=True)
class OwnModule(Layer):
    """A torch module of the user's.

    Args:
        path: ``package.module:Class``.
        channels: Channels that it is to give; 0 where it decides itself.
        stride: How much it is to shrink the image.
        arguments: What its constructor gets, sorted by name.
    """

    path: str
    channels: int
    stride: int
    arguments: tuple[tuple[str, int | float | str | bool], ...]

    def __post_init__(self) -> None:
        check_positive(f"module '{self.path}'", stride=self.stride)

    def output_shape(self, *inputs: Shape) -> Shape:
        given = facts(self, inputs[0]).output_shape
        if self.channels and len(inputs[0]) == 3:
            _, height, width = inputs[0]
            wanted = (self.channels, -(-height // self.stride), -(-width // self.stride))
            if given != wanted:
                raise ShapeError(
                    f"module '{self.path}' must give {wanted} for {inputs[0]}, but gives {given}; "
                    "its constructor can take in_channels, out_channels and stride"
                )
        return given

    def parameter_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        return dict(facts(self, inputs[0]).parameter_shapes)

    def macs(self, *inputs: Shape) -> int:
        return facts(self, inputs[0]).macs


@lru_cache(maxsize=4096)
def facts(layer: OwnModule, shape: Shape) -> ModuleFacts:
    """What torch says of a module on the shape that it receives.

    Raises:
        SpecError: The class is not found, cannot be built or run, or is no module.
    """
    where, _, name = INSPECTOR.partition(":")
    found: ModuleFacts = getattr(importlib.import_module(where), name)(layer, shape)
    return found


@block("module")
def module(
    b: GraphBuilder, *, path: str, channels: int = 0, stride: int = 1, **arguments: Any
) -> None:
    """A torch module of the user's, trained as it is and measured as it is exported.

    Args:
        b: The builder.
        path: ``package.module:Class``; the package must be importable.
        channels: Channels that it is to give; 0 where it decides itself.
        stride: How much it is to shrink the image.
        arguments: Further arguments of its constructor.
    """
    if not is_path(path):
        raise SpecError(f"module: path must be 'package.module:Class', received '{path}'")
    b.add("own", OwnModule(path, channels, stride, tuple(sorted(arguments.items()))), INPUT)
